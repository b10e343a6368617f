//! The way out: SIGTERM, what is at work, and what the next start does with it.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_model::run::RunStatus;
use tidegate_server::{ServeOptions, Server, SystemClock, stop_signal};
use tidegate_store::Jobs;

use super::rig::{Act, Rig, START, State, every, minutes, wait};

/// With a signal to this very process, which the listening server takes instead of dying.
async fn serve_until_signal(acts: &[(&str, Act)]) -> Rig {
    let signal = stop_signal().expect("signals");
    let syncs = acts.iter().map(|(name, _)| every(name, 720)).collect();
    let prepare = |runner: &super::rig::Puppet| {
        runner.acts.lock().unwrap().extend(acts.iter().map(|(name, act)| ((*name).to_owned(), *act)));
    };
    let stop = async move {
        assert_eq!(signal.await, 143);
    };
    let rig = Rig::serve(syncs, Arc::new(State::default()), START, prepare, stop).await;
    for (name, _) in acts {
        rig.until(name, "start", 1).await;
    }
    rig
}

fn terminate() {
    let pid = std::process::id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
}

#[tokio::test]
async fn sigterm_ends_runs_at_their_next_safe_point_and_the_next_start_goes_on() {
    let mut rig = serve_until_signal(&[("companies", Act::Hold)]).await;
    let began = Instant::now();
    terminate();
    wait(&mut rig.server).await.expect("no panic").expect("a clean end");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(rig.count("companies", "cancelled"), 1);
    let jobs = rig.state.store().await.jobs().await.expect("a queue");
    assert_eq!(
        jobs.iter().map(|job| (job.sync.as_str(), job.holder.is_none())).collect::<Vec<_>>(),
        [("companies", true)]
    );

    let rig =
        Rig::start_with(vec![every("companies", 720)], Arc::clone(&rig.state), START.plus_millis(60_000), |_| {}).await;
    rig.quiet().await;
    assert_eq!(rig.count("companies", "succeeded"), 1, "it does not wait twelve hours for its next slot");
    rig.ticks(minutes(5)).await;
    assert_eq!(rig.count("companies", "start"), 1);
    assert!(rig.state.store().await.jobs().await.expect("a queue").is_empty());
    rig.stop().await;
}

/// The clock of this test does not move by itself: the server's deadline comes when it is moved.
#[tokio::test]
async fn a_run_that_does_not_listen_is_dropped_at_the_deadline() {
    let mut rig = serve_until_signal(&[("companies", Act::Hold), ("stubborn", Act::Stubborn)]).await;
    terminate();
    rig.until("companies", "cancelled", 1).await;
    rig.nudge();
    assert_eq!(rig.count("stubborn", "dropped"), 0);
    rig.nudge();
    wait(&mut rig.server).await.expect("no panic").expect("a clean end");
    rig.until("stubborn", "dropped", 1).await;
    assert_eq!(rig.count("stubborn", "cancelled") + rig.count("stubborn", "succeeded"), 0);
}

/// The promise itself, on the machine's clock: SIGTERM to the end in less than 10 seconds, whatever a run does.
#[tokio::test]
async fn ten_seconds_are_enough_for_the_worst_run() {
    let rig = Rig::start_with(vec![every("companies", 1)], Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().insert("companies".to_owned(), Act::Stubborn);
    })
    .await;
    rig.hold_again("companies");
    let signal = stop_signal().expect("signals");
    let options = ServeOptions { listen: "127.0.0.1:0".to_owned(), ..ServeOptions::default() };
    let server = Server::bind(options, rig.state.store().await.as_ref()).await.expect("a free port");
    let stop = async move {
        signal.await;
    };
    let mut parts = rig.state.parts(rig.runner.clone(), Arc::new(SystemClock)).await;
    parts.holder.name = "another".to_owned();
    let serving = tokio::spawn(server.run(parts, stop));
    rig.until("companies", "start", 2).await;
    let began = Instant::now();
    terminate();
    wait(serving).await.expect("no panic").expect("a clean end");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(began.elapsed() > Duration::from_secs(5), "the run was given time: {:?}", began.elapsed());
    rig.let_go("companies");
    rig.stop().await;
}

#[tokio::test]
async fn what_waits_is_not_started_any_more() {
    let names = ["a", "b", "c"];
    let mut rig = Rig::start_with(names.map(|name| every(name, 60)).to_vec(), Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().extend(names.map(|name| (name.to_owned(), Act::Hold)));
    })
    .await;
    rig.until("b", "start", 1).await;
    rig.ask_to_stop();
    wait(&mut rig.server).await.expect("no panic").expect("a clean end");
    assert_eq!(rig.count("c", "start"), 0);
    assert_eq!((rig.count("a", "cancelled"), rig.count("b", "cancelled")), (1, 1));
}

#[tokio::test]
async fn while_it_stops_it_is_alive_but_not_ready() {
    let mut rig = Rig::start_with(vec![every("companies", 60)], Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().insert("companies".to_owned(), Act::Stubborn);
    })
    .await;
    rig.until("companies", "start", 1).await;
    assert_eq!(rig.code("/readyz").await, 200);
    rig.ask_to_stop();
    wait(async {
        while rig.code("/readyz").await != 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(rig.get("/readyz").await.contains("stopping"));
    assert_eq!(rig.code("/healthz").await, 200);
    rig.let_go("companies");
    wait(&mut rig.server).await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn a_state_that_does_not_answer_does_not_hold_up_the_end() {
    let mut rig = Rig::start(vec![every("companies", 60)]).await;
    rig.quiet().await;
    *rig.state.hangs.lock().unwrap() = true;
    rig.nudge();
    rig.ask_to_stop();
    wait(&mut rig.server).await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn a_connection_that_somebody_holds_open_does_not_hold_up_the_end() {
    let rig = Rig::start(vec![every("companies", 60)]).await;
    let held = tokio::net::TcpStream::connect(rig.address).await.expect("it listens");
    rig.get("/healthz").await;
    let began = Instant::now();
    rig.stop().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop(held);
}

#[tokio::test]
async fn a_run_that_a_person_cancelled_is_not_taken_up_again() {
    let rig = Rig::start_with(vec![every("companies", 720)], Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().insert("companies".to_owned(), Act::End(RunStatus::Cancelled));
    })
    .await;
    rig.ticks(minutes(30)).await;
    assert_eq!(rig.count("companies", "start"), 1);
    assert!(rig.state.store().await.jobs().await.expect("a queue").is_empty());
    rig.stop().await;
}

//! `auth CONNECTION [--paste]`

use std::time::Duration;

use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::http::Http;
use tidegate_net::oauth::Attempt;
use tidegate_server::{DEFAULT_LISTEN, callback};

use crate::app::{App, Ending, block_on};
use crate::out::Object;
use crate::secret_input;
use crate::workshop::Workshop;

/// Where the browser comes back to, here and in `serve`.
pub const CALLBACK: &str = "/oauth/callback";
/// A person looks for a password, and a second factor.
const WAIT_MAX: Duration = Duration::from_secs(600);
const DAY_S: u64 = 86_400;

/// Whom to sign in to.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate auth lake                       prints an address to open; the browser's answer comes back by itself
  tidegate auth lake --paste               the browser is on another machine: paste the address that it ends at
")]
pub struct Args {
    /// The connection
    #[arg(value_name = "CONNECTION")]
    connection: String,
    /// Paste the browser's answer, instead of waiting for it on this machine
    #[arg(long)]
    paste: bool,
    /// Where the browser is sent back to, as the client knows it; else `serve.public_url`, else this machine
    #[arg(long, value_name = "ADDRESS")]
    redirect_uri: Option<String>,
}

/// Signs in, and keeps the tokens.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let login = shop.login(&args.connection)?;
        let attempt = Attempt::begin(&redirect_uri(&shop, args));
        let url = attempt.authorize_url(login.client())?;
        // The place is taken before a person is sent on the way.
        let listener = if args.paste { None } else { Some(listen(attempt.redirect_uri()).await?) };
        told(app, &attempt, url.as_str(), args.paste)?;
        let code = match listener {
            Some((listener, path)) => wait(listener, &path, attempt.clone()).await?,
            None => attempt.code(secret_input::read("the address that the browser ends at")?.expose())?,
        };
        let http = Http::default().client()?;
        let life_s = login.sign_in(&http, &attempt, &code).await?;
        let until = life_s.map(|life| jiff::Timestamp::now() + Duration::from_secs(life));
        let mut line = Object::default();
        line.put("connection", args.connection.clone()).put("signed_in", true);
        line.put("until", until.map(|until| until.to_string()));
        if app.out.json {
            app.out.json(&line)?;
        }
        let until = life_s.map(|life| format!("; sign in again within {} days", life / DAY_S)).unwrap_or_default();
        app.out.note(&format!("signed in to {}{until}; `tidegate check {0}` tries it", args.connection,));
        Ok(0)
    })
}

fn redirect_uri(shop: &Workshop, args: &Args) -> String {
    let public = shop.project.serve.public_url.as_ref().map(|url| format!("{}{CALLBACK}", url.trim_end_matches('/')));
    args.redirect_uri.clone().or(public).unwrap_or_else(|| format!("http://{DEFAULT_LISTEN}{CALLBACK}"))
}

fn told(app: &App, attempt: &Attempt, url: &str, paste: bool) -> Result<()> {
    if app.out.json {
        let mut line = Object::default();
        line.put("redirect_uri", attempt.redirect_uri()).put("authorize_url", url);
        return app.out.json(&line);
    }
    app.out.data(&format!("redirect URI, which the client must know to the letter:\n  {}", attempt.redirect_uri()))?;
    app.out.data(&format!("open this address in a browser and sign in:\n  {url}"))?;
    app.out.note(if paste {
        "the browser ends at an address that begins with the redirect URI, even if no page is there: paste it whole"
    } else {
        "waiting for the browser, 10 minutes at most (it runs on another machine? `--paste`)"
    });
    Ok(())
}

/// Listens where the browser will come back to, which has to be this machine.
async fn listen(redirect_uri: &str) -> Result<(tokio::net::TcpListener, String)> {
    let elsewhere = || {
        Error::config(format!("the browser would come back to {redirect_uri}, where this command cannot listen")).hint(
            "use `--paste`, or `--redirect-uri http://127.0.0.1:8080/oauth/callback` if the client knows that address",
        )
    };
    let rest = redirect_uri.strip_prefix("http://").ok_or_else(elsewhere)?;
    let (address, path) = rest.split_once('/').ok_or_else(elsewhere)?;
    let address = tidegate_server::loopback_address(address).map_err(|_| elsewhere())?;
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| {
        Error::new(ErrorKind::Unavailable, format!("cannot listen on {address} for the browser"))
            .cause(error)
            .hint("`tidegate serve` may be using it: stop it for a moment, or use `--paste`")
    })?;
    Ok((listener, format!("/{path}")))
}

async fn wait(listener: tokio::net::TcpListener, path: &str, attempt: Attempt) -> Result<Secret> {
    let read = move |query: &str| attempt.code(query);
    tokio::time::timeout(WAIT_MAX, callback(listener, path, read)).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Cancelled, "nobody signed in within 10 minutes").hint("run `tidegate auth` again"))
    })
}

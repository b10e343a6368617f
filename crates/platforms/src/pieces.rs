//! Thousands of records made ready for one call, in pieces on several cores.

/// Fewer records than this are not worth a piece of their own: handing one over costs as much as some dozens of them.
const RECORDS_MIN: usize = 512;
/// The store and the other side want some cores too.
const PIECES_MAX: usize = 4;

/// Works on consecutive pieces of the records, each with the place of its first. What they came to is returned in their
/// order, so that it is the same however many cores there are.
pub(crate) fn in_pieces<T: Sync, R: Send>(records: &[T], work: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(PIECES_MAX));
    let count = cores.min(records.len() / RECORDS_MIN).max(1);
    let size = records.len().div_ceil(count).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let rest = records.chunks(size).enumerate().skip(1);
        let others: Vec<_> = rest.map(|(at, part)| scope.spawn(move || work(at * size, part))).collect();
        let first = work(0, &records[..size.min(records.len())]);
        let joined = others.into_iter().map(|one| one.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
        std::iter::once(first).chain(joined).collect()
    })
}

/// Records after which it is known how much room the others take.
const SAMPLE: usize = 32;

/// Makes room for a body once a few of its records are written, so that it neither grows by copies nor holds twice of what
/// it needs. `done`: records so far, `all`: those that will come to stand in it.
pub(crate) fn room(body: &mut Vec<u8>, done: usize, all: usize) {
    if done == SAMPLE {
        // An eighth more, for those that are longer than the first.
        body.reserve_exact(body.len() / SAMPLE * all.saturating_sub(done) * 9 / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_in_order_with_their_places() {
        for count in [0, 1, 511, 1_023, 1_024, 1_025, 5_000] {
            let records: Vec<usize> = (0..count).collect();
            let made = in_pieces(&records, |from, part| {
                assert!(part.iter().enumerate().all(|(at, record)| from + at == *record));
                part.to_vec()
            });
            assert_eq!(made.concat(), records);
        }
    }
    #[test]
    fn room_is_made_once_for_records_that_are_alike() {
        let (mut body, mut rooms) = (Vec::new(), Vec::new());
        for done in 1..=5_000 {
            body.extend_from_slice(if done < 100 { &[b'x'; 100] } else { &[b'x'; 108] });
            room(&mut body, done, 5_000);
            rooms.push(body.capacity());
        }
        assert!(rooms[SAMPLE..].iter().all(|room| *room == body.capacity()), "it grew");
        assert!(body.capacity() < body.len() * 5 / 4, "{} for {}", body.capacity(), body.len());
    }
}

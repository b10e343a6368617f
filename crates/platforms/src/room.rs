//! Room for the body of a call of thousands of records.

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

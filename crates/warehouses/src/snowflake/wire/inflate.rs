//! Inflating of what comes compressed. The parts of a result are inflated into rooms that are used again: memory
//! that is given back and asked for anew costs a tenth of the inflating, to clear it and to map it.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use tidegate_model::{Error, ErrorKind, Result};

/// What the sizes that the server promises may at most make us set aside before the bytes are there.
const PROMISE_MAX: usize = 256 << 20;
/// Bytes of rooms that nobody uses and that are kept nevertheless, for the next parts of the same result.
const IDLE_BYTES_MAX: usize = 32 << 20;

/// Rooms are of so many bytes, or a multiple of that.
const STEP: usize = 256 << 10;

/// What every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// 2^15 bytes: the largest window there is, which takes all smaller ones.
const WINDOW_BITS: u8 = 15;

/// Inflates what begins as gzip does, whatever the headers say; anything else is left as it is.
pub(super) fn inflate(body: &[u8], expected: usize) -> Result<Cow<'_, [u8]>> {
    if !body.starts_with(&GZIP) {
        return Ok(Cow::Borrowed(body));
    }
    let mut out = vec![0; expected.min(PROMISE_MAX) + 1];
    let made = unpacked([body], &mut out)?;
    out.truncate(made);
    Ok(Cow::Owned(out))
}

/// Inflates into the room from its beginning, and makes it larger where it does not do; the number of bytes.
fn unpacked<B: AsRef<[u8]>>(body: impl IntoIterator<Item = B>, room: &mut Vec<u8>) -> Result<usize> {
    let damaged = || Error::new(ErrorKind::Unavailable, "a compressed answer was cut short or damaged on its way");
    let mut member = Decompress::new_gzip(WINDOW_BITS);
    let (mut made, mut ended) = (0, false);
    for piece in body {
        let mut rest = piece.as_ref();
        while !rest.is_empty() {
            if ended {
                member = Decompress::new_gzip(WINDOW_BITS);
            }
            if made == room.len() {
                room.resize(room.len().max(STEP / 2) * 2, 0);
            }
            let (took, gave) = (member.total_in(), member.total_out());
            let status = member.decompress(rest, &mut room[made..], FlushDecompress::None);
            let status = status.map_err(|error| damaged().cause(error))?;
            let count = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
            let (took, gave) = (count(member.total_in(), took), count(member.total_out(), gave));
            ended = status == Status::StreamEnd;
            if !ended && took == 0 && gave == 0 {
                return Err(damaged());
            }
            made += gave;
            rest = rest.get(took..).unwrap_or_default();
        }
    }
    if ended { Ok(made) } else { Err(damaged().cause("it ends too early")) }
}

/// Rooms for the inflated parts of one result.
#[derive(Debug, Clone)]
pub(in crate::snowflake) struct Rooms(Arc<Mutex<Vec<Vec<u8>>>>);

/// What is made of a part comes and goes by some hundred kilobytes. glibc gives such memory back to the system and maps
/// it anew each time, until a larger block was once freed: then it takes blocks of that size for usual, and keeps twice
/// as much (mallopt(3), M_MMAP_THRESHOLD, "dynamic"). Nothing is written to this one, so it costs no memory.
static USUAL: LazyLock<()> = LazyLock::new(|| drop(std::hint::black_box(vec![0_u8; USUAL_BYTES])));
/// A part of a result, and a little.
const USUAL_BYTES: usize = 8 << 20;

/// An inflated part. Its room is free for the next one once nothing points into it any more.
#[derive(Debug)]
pub(in crate::snowflake) struct Inflated {
    room: Vec<u8>,
    made: usize,
    back: Rooms,
}

impl Rooms {
    /// None yet.
    pub(in crate::snowflake) fn new() -> Self {
        LazyLock::force(&USUAL);
        Self(Arc::default())
    }

    /// The bytes of a part that came in these pieces, which are let go one by one: compressed, they are never held in
    /// one piece. What does not begin as gzip does is left as it is.
    pub(in crate::snowflake) fn inflate(&self, body: Vec<Bytes>, expected: usize) -> Result<Inflated> {
        // One byte more than promised: a full house would be taken for one that is too small.
        let room = self.room(expected.min(PROMISE_MAX) + 1);
        let mut part = Inflated { room, made: 0, back: self.clone() };
        if body.iter().flat_map(|piece| piece.iter()).take(GZIP.len()).eq(&GZIP) {
            part.made = unpacked(body, &mut part.room)?;
        } else {
            part.room = body.concat();
            part.made = part.room.len();
        }
        Ok(part)
    }

    /// One that is large enough, and a step larger than needed if it is made: parts differ a little in size.
    fn room(&self, bytes: usize) -> Vec<u8> {
        let mut idle = self.idle();
        match idle.iter().position(|room| room.len() >= bytes) {
            Some(at) => idle.swap_remove(at),
            None => {
                idle.pop();
                drop(idle);
                vec![0; bytes.next_multiple_of(STEP)]
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Inflated {
    fn as_ref(&self) -> &[u8] {
        &self.room[..self.made]
    }
}

impl Drop for Inflated {
    fn drop(&mut self) {
        let mut idle = self.back.idle();
        let held: usize = idle.iter().map(Vec::len).sum();
        if held + self.room.len() <= IDLE_BYTES_MAX {
            idle.push(std::mem::take(&mut self.room));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn gzip_is_known_by_its_first_bytes() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"rows").expect("written");
        let packed = gzip.finish().expect("packed");
        assert_eq!(*inflate(&packed, 4).expect("inflated"), *b"rows");
        assert_eq!(*inflate(b"plain", 0).expect("plain"), *b"plain");
        let two: Vec<u8> = [packed.clone(), packed.clone()].concat();
        assert_eq!(*inflate(&two, 8).expect("both members"), *b"rowsrows");
        for cut in 1..packed.len() {
            assert!(cut < 2 || inflate(&packed[..cut], 4).is_err(), "a body cut to {cut} bytes passed");
        }
        let mut damaged = packed;
        let at = damaged.len() - 6;
        damaged[at] ^= 1;
        assert!(inflate(&damaged, 4).is_err(), "a wrong checksum passed");
    }

    #[test]
    fn pieces_are_inflated_as_the_whole_is() {
        let plain: Vec<u8> = (0..200_000_u32).flat_map(|n| (n % 1_000).to_le_bytes()).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&plain).expect("written");
        let packed = gzip.finish().expect("packed");
        for (size, expected) in [(1, 0), (7, plain.len()), (1_000, plain.len() - 1), (packed.len(), 10 * plain.len())] {
            let pieces = |body: &[u8]| body.chunks(size).map(Bytes::copy_from_slice).collect::<Vec<_>>();
            let rooms = Rooms::new();
            // The second time into a room that holds the bytes of the first.
            for _ in 0..2 {
                let whole = rooms.inflate(pieces(&packed), expected).expect("inflated");
                assert!(whole.as_ref() == plain, "pieces of {size}");
                assert!(rooms.inflate(pieces(&packed[..packed.len() - 1]), expected).is_err());
                assert_eq!(rooms.inflate(pieces(b"plain"), 0).expect("plain").as_ref(), b"plain");
            }
        }
    }

    #[test]
    fn rooms_are_used_again_and_few_are_kept() {
        let rooms = Rooms::new();
        let part = |bytes: usize| rooms.inflate(vec![gzip(&vec![7; bytes])], bytes).expect("inflated");
        let (one, other) = (part(1_000), part(1_000));
        let places = [one.room.as_ptr(), other.room.as_ptr()];
        assert_ne!(places[0], places[1], "both are in use");
        drop((one, other));
        assert!(places.contains(&part(900).room.as_ptr()));
        let large: Vec<Inflated> = (0..5).map(|_| part(10 << 20)).collect();
        assert!(large.iter().all(|part| part.as_ref().iter().all(|byte| *byte == 7)));
        drop(large);
        assert!(rooms.idle().iter().map(Vec::len).sum::<usize>() <= IDLE_BYTES_MAX);
        assert!(rooms.idle().len() >= 3);
    }

    fn gzip(plain: &[u8]) -> Bytes {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(plain).expect("written");
        gzip.finish().expect("packed").into()
    }
}

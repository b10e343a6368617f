//! Scratch space on disk: records with their length before them in a nameless file, gone with the process.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind as IoKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::Scratch;

/// Buffer of a scratch file: large enough that a merge of several does not seek for each record.
const BUFFER_BYTES: usize = 256 * 1024;

enum Way {
    Writing(BufWriter<File>),
    Reading(BufReader<File>),
    /// Only while one turns into the other, and after that failed.
    Broken,
}

/// Scratch space in a file.
pub struct FileScratch {
    way: Way,
    dir: PathBuf,
    bytes: u64,
}

/// What kind of error the disk's answer is.
pub fn kind_of(error: &std::io::Error) -> ErrorKind {
    match error.kind() {
        IoKind::StorageFull | IoKind::QuotaExceeded | IoKind::FileTooLarge => ErrorKind::DiskFull,
        IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem => ErrorKind::Forbidden,
        _ => ErrorKind::Unavailable,
    }
}

impl FileScratch {
    /// An empty file in this folder.
    pub fn new(dir: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(dir).map_err(|error| trouble(dir, 0, error))?;
        Ok(Self { way: Way::Writing(BufWriter::with_capacity(BUFFER_BYTES, file)), dir: dir.to_owned(), bytes: 0 })
    }

    fn trouble(&self, error: std::io::Error) -> Error {
        trouble(&self.dir, self.bytes, error)
    }

    /// The file below, with everything written to it.
    fn file(&mut self) -> Result<File> {
        match std::mem::replace(&mut self.way, Way::Broken) {
            Way::Writing(writer) => writer.into_inner().map_err(|error| self.trouble(error.into_error())),
            Way::Reading(reader) => Ok(reader.into_inner()),
            Way::Broken => Err(Error::internal("a scratch file is used after it failed")),
        }
    }
}

fn trouble(dir: &Path, bytes: u64, error: std::io::Error) -> Error {
    Error::new(kind_of(&error), format!("cannot use scratch space in {} ({bytes} bytes so far)", dir.display()))
        .hint("free some space there; nothing is lost, the next run goes on where this one stopped")
        .cause(error)
}

impl Scratch for FileScratch {
    fn push(&mut self, record: &[u8]) -> Result<()> {
        if let Way::Reading(_) = self.way {
            let mut file = self.file()?;
            file.seek(SeekFrom::End(0)).map_err(|error| self.trouble(error))?;
            self.way = Way::Writing(BufWriter::with_capacity(BUFFER_BYTES, file));
        }
        let length = u32::try_from(record.len()).map_err(|_| Error::internal("a scratch record of over 4 GB"))?;
        let Way::Writing(writer) = &mut self.way else {
            return Err(Error::internal("a scratch file is used after it failed"));
        };
        let written = writer.write_all(&length.to_le_bytes()).and_then(|()| writer.write_all(record));
        written.map_err(|error| self.trouble(error))?;
        self.bytes += 4 + u64::from(length);
        Ok(())
    }

    fn rewind(&mut self) -> Result<()> {
        let mut file = self.file()?;
        file.rewind().map_err(|error| self.trouble(error))?;
        self.way = Way::Reading(BufReader::with_capacity(BUFFER_BYTES, file));
        Ok(())
    }

    fn next(&mut self, into: &mut Vec<u8>) -> Result<bool> {
        into.clear();
        let Way::Reading(reader) = &mut self.way else {
            return Err(Error::internal("a scratch file is read before it was rewound"));
        };
        let mut length = [0; 4];
        match reader.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == IoKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(self.trouble(error)),
        }
        into.resize(u32::from_le_bytes(length) as usize, 0);
        let read = reader.read_exact(into);
        read.map_err(|error| self.trouble(error))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_and_more_can_follow() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut scratch = FileScratch::new(dir.path()).expect("a file");
        let records: Vec<Vec<u8>> = (0..1_000_usize).map(|i| vec![u8::try_from(i % 251).expect("small"); i]).collect();
        let mut record = Vec::new();
        for round in 1..=2 {
            for record in &records {
                scratch.push(record).expect("written");
            }
            scratch.rewind().expect("rewound");
            let mut seen = 0;
            while scratch.next(&mut record).expect("read") {
                assert_eq!(record, records[seen % records.len()]);
                seen += 1;
            }
            assert_eq!(seen, round * records.len());
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0, "the file has no name");
    }
}

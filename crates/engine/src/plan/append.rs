//! Values as postcard writes them, at the end of a buffer that grows.

use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// Bytes at the end of a buffer.
struct End<'a>(&'a mut Vec<u8>);

impl Flavor for End<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends a value.
///
/// # Errors
/// A value that cannot be written.
pub(crate) fn append<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> postcard::Result<()> {
    postcard::serialize_with_flavor(value, End(into))
}

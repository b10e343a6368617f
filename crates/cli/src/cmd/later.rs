//! Parts that are not built yet.

/// Anything: whatever stands behind the name of a part is taken, so that the answer is about the part.
#[derive(Debug, clap::Args)]
pub struct Rest {
    /// Not read
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    rest: Vec<String>,
}

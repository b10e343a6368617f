//! The demo: a project with data, run in front of your eyes. Everything goes the same way as the commands.

mod edits;
mod files;
mod lake;
mod story;
mod words;

use std::path::Path;

use tidegate_model::{Error, Result};

pub use story::tell;

use crate::cmd::init::write_new;

/// Makes the demo's project in `dir`, which must be new or empty.
pub fn make(dir: &Path) -> Result<()> {
    refuse_old(dir)?;
    for (path, text) in files::ALL {
        write_new(&dir.join(path), text)?;
    }
    lake::make(&dir.join(files::WAREHOUSE)).map_err(|error| {
        Error::new(tidegate_model::ErrorKind::Unavailable, format!("cannot make {}", files::WAREHOUSE))
            .hint("is there space in the folder?")
            .cause(error)
    })
}

fn refuse_old(dir: &Path) -> Result<()> {
    let shown = dir.display();
    let ours = std::fs::read_to_string(dir.join("tidegate.yaml")).is_ok_and(|text| text == files::PROJECT);
    if ours {
        return Err(Error::config(format!("the demo is in {shown} already")).hint(format!(
            "go on there (`cd {shown}; tidegate runs`), or start anew: `rm -r {shown}; tidegate demo {shown}`"
        )));
    }
    let empty = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if empty {
        return Ok(());
    }
    Err(Error::config(format!("{shown} is there already, and it is not empty"))
        .hint("name a new folder: `tidegate demo DIR`"))
}

//! A set-up as one SQL script: what is not SQL stands in comments.

use super::{Name, Setup, Step};

/// The whole script, ready to be pasted.
pub fn print(setup: &Setup) -> String {
    let mut out = format!(
        "-- {}\n-- Read it, change what you like, run it. Nothing is replaced; it can be run again.\n",
        setup.title
    );
    if !setup.blanks.is_empty() {
        out.push_str("--\n-- Fill in first:\n");
        setup.blanks.iter().for_each(|blank| comment(&mut out, &format!("  {blank}")));
    }
    let mut role: Option<&Name> = None;
    for step in &setup.steps {
        match step {
            Step::Do { what, commands } => {
                out.push('\n');
                comment(&mut out, what);
                commands.iter().for_each(|command| comment(&mut out, &format!("  {command}")));
            }
            Step::Sql(statement) => {
                if role != Some(&statement.role) {
                    out.push_str(&format!("\nUSE ROLE {};\n", statement.role.quoted()));
                    role = Some(&statement.role);
                }
                out.push('\n');
                comment(&mut out, &statement.why);
                out.push_str(&statement.sql);
                out.push_str(";\n");
            }
        }
    }
    if let Some((file, text)) = &setup.file {
        out.push('\n');
        comment(&mut out, &format!("{file}:"));
        text.lines().for_each(|line| comment(&mut out, &format!("  {line}")));
    }
    out
}

/// One line of a comment.
fn comment(out: &mut String, line: &str) {
    out.push_str("-- ");
    out.push_str(line);
    out.push('\n');
}

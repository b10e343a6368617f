//! What a change would mean: the lines of the file, ten real rows, the plan, and the button that writes it.

use maud::{Markup, html};
use tidegate_model::{Error, Result};

use crate::desk::{FileName, PlanAsk, PreviewAnswer, ProblemAnswer};
use crate::ui::pages::plan;
use crate::ui::parts::{back_field, escaped, value};
use crate::ui::visit::Visit;

/// Changes of the plan that are listed.
const PLANNED: u32 = 50;
/// Lines of a file that are compared; longer ones are shown as they will be.
const LINES_MAX: usize = 2_000;

/// The change of a sync.
pub(super) async fn shown(visit: &Visit, name: &str, old: &str, new: &str, hash: Option<&str>) -> Result<Markup> {
    let found = visit.desk().check_file(&FileName::Sync(name.to_owned()), new).await?;
    let own = format!("/syncs/{}", escaped(name));
    let call = format!("/api/v1{own}/file");
    if !found.is_empty() || old == new {
        return Ok(html! {
            section.card id="review" { h2 { "The change" }
                @if old == new { p { "Nothing would change in the file." } } @else { (diff(old, new)) }
                (problems(&found))
            }
            @if old == new && found.is_empty() { (rows(visit, name, new).await) }
        });
    }
    let planned = visit.desk().plan_draft(name, new, &PlanAsk { full: false, limit: Some(PLANNED) }).await;
    Ok(html! {
        section.card id="review" { h2 { "The change" } (diff(old, new)) (save_form(visit, &call, new, hash, &own)) }
        (rows(visit, name, new).await)
        section { h2 { "What the next run would do with it" }
            @match planned { Ok(planned) => (plan::shown(name, &planned)), Err(error) => (refused(&error)) }
        }
    })
}

async fn rows(visit: &Visit, name: &str, text: &str) -> Markup {
    let preview = visit.desk().preview(name, text).await;
    html! {
        section.card.flush id="preview" { div.row { h2 { "Ten real rows through the mapping" } }
            @match preview { Ok(preview) => (table(&preview)), Err(error) => (refused(&error)) }
        }
    }
}

fn table(preview: &PreviewAnswer) -> Markup {
    html! {
        @if preview.rows.is_empty() { div.empty { p { "The relation has no rows yet." } } } @else {
            div.scroll tabindex="0" role="region" aria-label="Rows through the mapping" { table {
                thead { tr { th scope="col" { "Key" } @for field in &preview.fields { th scope="col" { (field.column) " → " (field.field) } } } }
                tbody { @for row in &preview.rows { tr {
                    th scope="row" { @match &row.key { Some(key) => (key), None => span.state.is-partial { "no usable key" } } }
                    @for cell in &row.cells { td {
                        @if let Some(why) = &cell.misfit { (value(&cell.from)) br; span.state.is-partial { i aria-hidden="true" { "!" } "does not fit" } " " span.soft.small { (why) } }
                        @else { (value(&cell.to)) @if cell.from != cell.to { br; span.soft.small { "from " (value(&cell.from)) } } }
                    } }
                } } }
            } }
        }
    }
}

/// An error where a part of the page would be.
pub(super) fn refused(error: &Error) -> Markup {
    html! { div.note.is-failed role="alert" { p { (error.to_string()) } @if let Some(hint) = &error.hint { p { (hint) } } } }
}

/// Problems that keep a file from being written.
pub(in crate::ui::pages) fn problems(found: &[ProblemAnswer]) -> Markup {
    html! {
        @if !found.is_empty() {
            div.note.is-failed role="alert" { p { "It cannot be written like this:" }
                ul { @for problem in found { li { (problem.message) " (" code { (problem.file) ":" (problem.line) } ")" @if let Some(hint) = &problem.hint { " – " (hint) } } } }
            }
        }
    }
}

/// The button that writes a file.
pub(in crate::ui::pages) fn save_form(visit: &Visit, call: &str, text: &str, hash: Option<&str>, goes: &str) -> Markup {
    html! {
        form method="post" action=(call) data-act data-json data-method="PUT" data-goes=(goes) {
            (back_field(visit))
            textarea name="text" hidden readonly aria-label="The new text" { "\n" (text) }
            @if let Some(hash) = hash { input type="hidden" name="hash" value=(hash); }
            p {} button.main-act { "Save" }
        }
    }
}

/// A line of both texts, of the old one, or of the new one.
#[derive(Debug, PartialEq, Eq)]
enum Line<'t> {
    Both(&'t str),
    Old(&'t str),
    New(&'t str),
}

/// The lines that differ, in their surroundings.
pub(in crate::ui::pages) fn diff(old: &str, new: &str) -> Markup {
    html! {
        pre.values tabindex="0" aria-label="Lines that change" { @for line in compared(old, new) {
            @match line { Line::Both(text) => { "  " (text) "\n" } Line::Old(text) => del { "- " (text) "\n" } Line::New(text) => ins { "+ " (text) "\n" } }
        } }
    }
}

/// By the longest common subsequence of lines.
fn compared<'t>(old: &'t str, new: &'t str) -> Vec<Line<'t>> {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if a.len() > LINES_MAX || b.len() > LINES_MAX {
        return b.into_iter().map(Line::Both).collect();
    }
    let mut longest = vec![vec![0u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i][j] =
                if a[i] == b[j] { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            out.push(Line::Both(a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j >= b.len() || (i < a.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            out.push(Line::Old(a[i]));
            i += 1;
        } else {
            out.push(Line::New(b[j]));
            j += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_differ_are_marked() {
        let lines = compared("a\nb\nc\n", "a\nx\nc\nd\n");
        assert_eq!(lines, [Line::Both("a"), Line::Old("b"), Line::New("x"), Line::Both("c"), Line::New("d")]);
        assert!(diff("", "<a>").into_string().contains("+ &lt;a&gt;"));
    }
}

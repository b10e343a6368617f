//! Heads of pages, lists in pages, and what stands where nothing is yet.

use maud::{Markup, html};

use super::text::link;

/// The head of a page: a title, a line below it, buttons.
pub(in crate::ui) fn head(crumbs: &[(&str, &str)], title: &str, lead: Markup, acts: Markup) -> Markup {
    html! {
        div.head {
            div {
                @if !crumbs.is_empty() {
                    nav.crumbs aria-label="Where this is" {
                        @for (to, name) in crumbs { a href=(to) { (name) } " / " }
                    }
                }
                h1 { (title) }
                div.lead { (lead) }
            }
            div.row { (acts) }
        }
    }
}

/// Where nothing is: what would be here, and how it comes.
pub(in crate::ui) fn empty(title: &str, what: &str, acts: Markup) -> Markup {
    html! { div.empty { h2 { (title) } p { (what) } (acts) } }
}

/// The way to the next page, and to the first.
pub(in crate::ui) fn pager(path: &str, pairs: &[(&str, &str)], after: Option<&str>, next: Option<&str>) -> Markup {
    if after.is_none() && next.is_none() {
        return html! {};
    }
    let onward = next.map(|next| {
        let mut all = pairs.to_vec();
        all.push(("after", next));
        link(path, &all)
    });
    html! {
        nav.pager aria-label="More of this list" {
            @if after.is_some() { a.button.small href=(link(path, pairs)) { "Back to the start" } }
            @if let Some(onward) = onward { a.button.small href=(onward) rel="next" { "Next page" } }
            @else { span.soft.small { "That is all." } }
        }
    }
}

/// A box that narrows a table of this page.
pub(in crate::ui) fn filter_box(table: &str, label: &str) -> Markup {
    html! {
        div.slim {
            label for={ (table) "-filter" } { (label) }
            input id={ (table) "-filter" } type="search" data-filters=(table) autocomplete="off";
        }
        span.soft.small id={ (table) "-shown" } role="status" {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_one_page_has_no_pager() {
        assert_eq!(pager("/runs", &[], None, None).into_string(), "");
        let shown = pager("/runs", &[("sync", "a")], None, Some("m k")).into_string();
        assert!(shown.contains("/runs?sync=a&amp;after=m%20k") && !shown.contains("start"), "{shown}");
        assert!(pager("/runs", &[], Some("x"), None).into_string().contains("That is all."));
    }
}

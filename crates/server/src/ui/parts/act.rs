//! Buttons that do something: each is a form for a call of the API.

use maud::{Markup, html};

use crate::ui::visit::Visit;

/// The fields that every form carries.
pub(in crate::ui) fn back_field(visit: &Visit) -> Markup {
    html! {
        input type="hidden" name="_csrf" value=(visit.caller.csrf());
        input type="hidden" name="_back" value=(visit.here);
    }
}

/// A button for one call.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ui) struct Act<'a> {
    /// The call, below `/api/v1`.
    pub(in crate::ui) call: &'a str,
    /// What stands on it.
    pub(in crate::ui) label: &'a str,
    /// Its style: `main-act`, `danger`, `small`, or several.
    pub(in crate::ui) class: &'a str,
    /// What it sends.
    pub(in crate::ui) fields: &'a [(&'a str, &'a str)],
    /// A question to be answered with yes before.
    pub(in crate::ui) ask: Option<&'a str>,
    /// What is said when it is done.
    pub(in crate::ui) done: Option<&'a str>,
    /// The method, if it is not POST.
    pub(in crate::ui) method: Option<&'a str>,
    /// What it is about, for those who hear it alone.
    pub(in crate::ui) about: Option<&'a str>,
}

impl Act<'_> {
    /// The button.
    pub(in crate::ui) fn show(self, visit: &Visit) -> Markup {
        html! {
            form.inline method="post" action={ "/api/v1" (self.call) } data-act data-ask=[self.ask] data-done=[self.done]
                data-method=[self.method] {
                (back_field(visit))
                @for (name, value) in self.fields { input type="hidden" name=(name) value=(value); }
                button class=[(!self.class.is_empty()).then_some(self.class)] {
                    (self.label)
                    @if let Some(about) = self.about { span.hidden-text { " " (about) } }
                }
            }
        }
    }

    /// A switch: what it sends is the other position.
    pub(in crate::ui) fn switch(self, visit: &Visit, on: bool) -> Markup {
        html! {
            form.inline method="post" action={ "/api/v1" (self.call) } data-act data-done=[self.done] {
                (back_field(visit))
                input type="hidden" name="on" value=(if on { "false" } else { "true" });
                button.switch role="switch" aria-checked=(if on { "true" } else { "false" }) {
                    (self.label) @if let Some(about) = self.about { span.hidden-text { " " (about) } }
                }
            }
        }
    }
}

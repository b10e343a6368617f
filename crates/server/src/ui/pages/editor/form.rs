//! The form: every name is chosen from what the systems say they have.

use maud::{Markup, html};

use super::text::rows;
use crate::desk::{ConnectionAnswer, Discovered};
use crate::ui::parts::{Settings, back_field, capital};
use crate::ui::visit::Visit;

/// Levels of a catalogue: database, schema, relation, and one to spare.
const LEVELS_MAX: usize = 4;

/// What can be chosen, as far as the systems answer.
#[derive(Default)]
pub(super) struct Choices {
    connections: Vec<ConnectionAnswer>,
    /// One list per level of the warehouse's catalogue, with what is chosen on it.
    levels: Vec<(Discovered, String)>,
    columns: Vec<(String, String)>,
    models: Vec<String>,
    model: Discovered,
    /// What did not answer.
    troubles: Vec<String>,
}

fn word<'g>(given: &'g Settings, name: &str) -> &'g str {
    given.get(name).map_or("", String::as_str)
}

impl Choices {
    /// Asks both sides.
    pub(super) async fn look(visit: &Visit, given: &Settings) -> Self {
        let mut out = Self::default();
        match visit.desk().connections().await {
            Ok(all) => out.connections = all,
            Err(error) => out.troubles.push(error.to_string()),
        }
        out.warehouse(visit, given).await;
        out.platform(visit, given).await;
        out
    }

    async fn ask(&mut self, visit: &Visit, connection: &str, place: Option<&str>) -> Option<Discovered> {
        match visit.desk().discover(connection, place).await {
            Ok(found) => Some(found),
            Err(error) => {
                self.troubles.push(format!("{connection}: {error}"));
                None
            }
        }
    }

    async fn warehouse(&mut self, visit: &Visit, given: &Settings) {
        let (connection, relation) = (word(given, "w.connection"), word(given, "w.relation"));
        if connection.is_empty() {
            return;
        }
        let mut place: Option<String> = None;
        for level in 0..LEVELS_MAX {
            let Some(found) = self.ask(visit, connection, place.as_deref()).await else { break };
            let chosen = word(given, &format!("w.level.{level}"));
            // What was chosen elsewhere says nothing here; a relation that is written with its place does.
            let within = |name: &str| relation.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            let at = found.entries.iter().filter(|entry| entry.container);
            let next =
                at.clone().find(|entry| entry.name == chosen).or_else(|| at.clone().find(|entry| within(&entry.name)));
            let next =
                next.or_else(|| at.clone().next().filter(|_| at.clone().count() == 1)).map(|entry| entry.name.clone());
            self.levels.push((found, next.clone().unwrap_or_default()));
            match next {
                Some(next) => place = Some(next),
                None => break,
            }
        }
        if !relation.is_empty()
            && let Some(found) = self.ask(visit, connection, Some(relation)).await
        {
            self.columns = found.columns.into_iter().map(|column| (column.column, column.logical)).collect();
        }
    }

    async fn platform(&mut self, visit: &Visit, given: &Settings) {
        let (connection, model) = (word(given, "p.connection"), word(given, "p.model"));
        if connection.is_empty() {
            return;
        }
        if let Some(found) = self.ask(visit, connection, None).await {
            self.models = found.models.into_iter().map(|model| model.model).collect();
        }
        if !model.is_empty()
            && let Some(found) = self.ask(visit, connection, Some(model)).await
        {
            self.model = found;
        }
    }
}

/// A choice; what stands there already can be chosen although it is not among the others.
struct Select<'a> {
    name: &'a str,
    label: &'a str,
    value: &'a str,
    options: Vec<(String, String)>,
    /// Stands for nothing chosen.
    none: &'a str,
    /// Another choice shows other fields.
    reloads: bool,
    slim: bool,
}

impl Select<'_> {
    fn show(self) -> Markup {
        let known = self.value.is_empty() || self.options.iter().any(|(value, _)| value == self.value);
        html! {
            div class=(if self.slim { "" } else { "field" }) {
                label for=(self.name) { (self.label) }
                select id=(self.name) name=(self.name) data-reloads=[self.reloads.then_some("show")] {
                    option value="" { (self.none) }
                    @if !known { option value=(self.value) selected { (self.value) } }
                    @for (value, shown) in &self.options { option value=(value) selected[value == self.value] { (shown) } }
                }
            }
        }
    }
}

fn same(words: &[&str]) -> Vec<(String, String)> {
    words.iter().map(|word| ((*word).to_owned(), (*word).to_owned())).collect()
}

/// The whole form.
pub(super) fn fields(visit: &Visit, given: &Settings, choices: &Choices) -> Markup {
    html! {
        (back_field(visit))
        input type="hidden" name="step" value="show";
        @for trouble in &choices.troubles { div.note.is-partial { p { (trouble) } p.soft { "Its names cannot be offered; those that are written stay." } } }
        div.cols { (left(given, choices)) (right(given, choices)) }
        (mapping(given, choices))
        (when(given))
        @if visit.edits() { div.row { button.main-act name="step" value="look" { "Preview and plan" } button name="step" value="show" { "Ask both sides again" } } p {} }
    }
}

fn of_side(choices: &Choices, side: &str) -> Vec<(String, String)> {
    let ours = choices.connections.iter().filter(|one| one.side == side);
    ours.map(|one| (one.connection.clone(), format!("{} ({})", one.connection, one.kind))).collect()
}

fn left(given: &Settings, choices: &Choices) -> Markup {
    let relation = word(given, "w.relation");
    let relations: Vec<(String, String)> = choices
        .levels
        .iter()
        .flat_map(|(found, _)| &found.entries)
        .filter(|entry| !entry.container)
        .map(|entry| (entry.name.clone(), format!("{} ({})", entry.name, entry.kind)))
        .collect();
    let columns: Vec<(String, String)> =
        choices.columns.iter().map(|(name, kind)| (name.clone(), format!("{name} ({kind})"))).collect();
    html! {
        fieldset { legend { "Warehouse" }
            (Select { name: "w.connection", label: "Connection", value: word(given, "w.connection"), options: of_side(choices, "warehouse"), none: "Choose…", reloads: true, slim: false }.show())
            @if given.contains_key("w.query") {
                div.field { label for="w.query" { "Query" } textarea id="w.query" name="w.query" rows="6" { "\n" (word(given, "w.query")) } }
            } @else {
                @for (level, (found, chosen)) in choices.levels.iter().enumerate() {
                    @let inside: Vec<_> = found.entries.iter().filter(|entry| entry.container).map(|entry| (entry.name.clone(), entry.name.clone())).collect();
                    @if !inside.is_empty() {
                        @let kind = found.entries.iter().find(|entry| entry.container).map_or("Place", |entry| entry.kind.as_str());
                        (Select { name: &format!("w.level.{level}"), label: &capital(kind), value: chosen, options: inside, none: "Choose…", reloads: true, slim: false }.show())
                    }
                }
                (Select { name: "w.relation", label: "Table or view", value: relation, options: relations, none: "Choose…", reloads: true, slim: false }.show())
            }
            (Select { name: "k.warehouse", label: "Key: the column that names a record", value: word(given, "k.warehouse"), options: columns, none: "Choose…", reloads: false, slim: false }.show())
        }
    }
}

fn right(given: &Settings, choices: &Choices) -> Markup {
    let models: Vec<(String, String)> = choices.models.iter().map(|model| (model.clone(), model.clone())).collect();
    let keys: Vec<(String, String)> = choices
        .model
        .fields
        .iter()
        .filter(|field| field.key)
        .map(|field| (field.field.clone(), field.field.clone()))
        .collect();
    let directions = vec![
        ("to_platform".to_owned(), "to the platform".to_owned()),
        ("to_warehouse".to_owned(), "to the warehouse".to_owned()),
        ("both".to_owned(), "both ways".to_owned()),
    ];
    html! {
        fieldset { legend { "Platform" }
            (Select { name: "p.connection", label: "Connection", value: word(given, "p.connection"), options: of_side(choices, "platform"), none: "Choose…", reloads: true, slim: false }.show())
            (Select { name: "p.model", label: "Model", value: word(given, "p.model"), options: models, none: "Choose…", reloads: true, slim: false }.show())
            (Select { name: "k.platform", label: "Key: the field that names a record", value: word(given, "k.platform"), options: keys, none: "none (events and rows)", reloads: false, slim: false }.show())
            (Select { name: "direction", label: "Direction", value: word(given, "direction"), options: directions, none: "as usual: to the platform", reloads: false, slim: false }.show())
        }
    }
}

fn mapping(given: &Settings, choices: &Choices) -> Markup {
    let all = rows(given);
    let next = all.last().map_or(0, |last| last + 1);
    html! {
        fieldset { legend { "Fields" }
            @if word(given, "fields") == "all" { p { "All columns: each has a field of its own name (fields: all)." } input type="hidden" name="fields" value="all"; }
            @else {
                div data-rows { @for at in &all { (row(&at.to_string(), given, choices)) } }
                template id="row" { (row("{}", &Settings::new(), choices)) }
                datalist id="model-fields" { @for field in choices.model.fields.iter().filter(|field| !field.read_only || field.key) { option value=(field.field) { (field.logical) } } }
                p {} button.small type="button" data-adds="row" data-next=(next) { "Add a field" }
                noscript { p.soft { "Add fields in the file itself, below." } }
            }
        }
    }
}

fn row(at: &str, given: &Settings, choices: &Choices) -> Markup {
    let name = |part: &str| format!("f.{at}.{part}");
    let value = |part: &str| word(given, &name(part)).to_owned();
    let columns: Vec<(String, String)> =
        choices.columns.iter().map(|(name, kind)| (name.clone(), format!("{name} ({kind})"))).collect();
    let directions = vec![
        ("to_platform".to_owned(), "→ platform".to_owned()),
        ("to_warehouse".to_owned(), "← warehouse".to_owned()),
        ("both".to_owned(), "⇄ both".to_owned()),
    ];
    let (constant, platform, transform) = (value("value"), name("platform"), name("transform"));
    html! {
        div.map-row {
            @if constant.is_empty() {
                (Select { name: &name("warehouse"), label: "Column", value: &value("warehouse"), options: columns, none: "Choose…", reloads: false, slim: true }.show())
            } @else {
                div { label for=(name("value")) { "Always" } input id=(name("value")) name=(name("value")) value=(constant); }
            }
            (Select { name: &name("direction"), label: "Direction", value: &value("direction"), options: directions, none: "as the sync", reloads: false, slim: true }.show())
            div { label for=(platform) { "Field" } input id=(platform) name=(platform) value=(value("platform")) list="model-fields" autocomplete="off"; }
            (Select { name: &name("as"), label: "Type", value: &value("as"), options: same(&["text", "number", "boolean", "date", "url", "tags"]), none: "as it is", reloads: false, slim: true }.show())
            div { label for=(transform) { "Transforms" } input id=(transform) name=(transform) value=(value("transform")) placeholder="trim, lower" autocomplete="off"; }
            input type="hidden" name=(name("at")) value=(value("at"));
            button.small type="button" data-removes aria-label={ "Remove the field " (value("platform")) } { "Remove" }
        }
    }
}

fn when(given: &Settings) -> Markup {
    let kinds = vec![
        ("every".to_owned(), "every …".to_owned()),
        ("daily_at".to_owned(), "daily at …".to_owned()),
        ("cron".to_owned(), "cron".to_owned()),
    ];
    html! {
        fieldset { legend { "How and when" }
            div.filters {
                div.slim { (Select { name: "changes", label: "Changes are found by", value: word(given, "changes"), options: same(&["auto", "full", "tracking", "stream", "cursor"]), none: "as usual: auto", reloads: false, slim: true }.show()) }
                div.slim { (Select { name: "write", label: "Written as", value: word(given, "write"), options: same(&["upsert", "update", "insert", "append", "replace", "mirror"]), none: "as usual: upsert", reloads: false, slim: true }.show()) }
                div.slim { (Select { name: "conflict", label: "In a conflict", value: word(given, "conflict"), options: same(&["warehouse", "platform", "newest", "hold"]), none: "as usual: warehouse", reloads: false, slim: true }.show()) }
                div.slim { (Select { name: "s.kind", label: "Runs by itself", value: word(given, "s.kind"), options: kinds, none: "by hand only", reloads: false, slim: true }.show()) }
                div.slim { label for="s.value" { "How often, or when" } input id="s.value" name="s.value" value=(word(given, "s.value")) placeholder="1h, 02:30, or 0 6 * * *" autocomplete="off"; }
            }
        }
    }
}

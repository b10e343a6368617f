//! Columnar loads. Rows are staged first, outside of any transaction: however long the source takes, nobody waits.
//! Then one script brings them over.

use tidegate_model::change::FieldReject;
use tidegate_model::page::{Misfit, Page, Pages};
use tidegate_model::ports::{Load, LoadMode, Loaded};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{Shape, SourceColumn};
use super::server::{Param, Server};
use super::stage::{NUMBER, ROW_BYTES_MAX, Stage, declared, value};
use super::write::{Body, Desk, End, Span, target};
use crate::cell::ColumnView;
use crate::fit::Slot;
use crate::loading::{add_reject, check_shrink, misfit_of};

/// Loads pages.
pub(super) async fn load(server: &Server, relation: &Relation, load: &Load, mut pages: Pages) -> Result<Loaded> {
    let shape = target(server, relation).await?;
    let desk = Desk::begin(server, &load.fence, &shape).await?;
    if let Some(span) = desk.told(&load.op).await? {
        return Ok(Loaded { replayed: true, ..loaded_of(&span)? });
    }
    let mut staging =
        Staging { desk: &desk, server, shape: &shape, relation, stage: None, loaded: Loaded::default(), rows: 0 };
    let filled = staging.fill(&mut pages).await;
    let Staging { stage, loaded, .. } = staging;
    let ended = match filled {
        Ok(()) => bring_over(&desk, &shape, relation, load, stage.as_ref(), loaded).await,
        Err(error) => Err(error),
    };
    if let Some(filled) = stage {
        filled.stage.leave().await;
    }
    ended
}

/// What a span row keeps of a load.
fn loaded_of(span: &Span) -> Result<Loaded> {
    let kept: Loaded = serde_json::from_str(&span.result)
        .map_err(|error| Error::internal("a span row cannot be read").cause(error))?;
    // What was staged is what came in; what the script counted is taken off it.
    let unchanged = kept.unchanged.saturating_sub(span.created + span.updated);
    Ok(Loaded { created: span.created, updated: span.updated, cleared: span.cleared, unchanged, ..kept })
}

/// The staging table, once there are rows.
struct Filled<'a> {
    stage: Stage<'a>,
    columns: Vec<SourceColumn>,
}

/// Rows on their way into the staging table.
struct Staging<'a> {
    desk: &'a Desk<'a>,
    server: &'a Server,
    shape: &'a Shape,
    relation: &'a Relation,
    stage: Option<Filled<'a>>,
    loaded: Loaded,
    /// Rows of the pages before the one in hand.
    rows: u64,
}

impl Staging<'_> {
    async fn fill(&mut self, pages: &mut Pages) -> Result<()> {
        while let Some(page) = pages.next().await? {
            self.page(&page).await?;
        }
        match &mut self.stage {
            Some(filled) => filled.stage.send().await,
            None => Ok(()),
        }
    }

    async fn page(&mut self, page: &Page) -> Result<()> {
        let source = Source::Relation(self.relation.clone());
        let find = |name: &str| self.shape.column(name, &source).cloned();
        let names = page.rows.schema_ref().fields().iter();
        let columns = names.map(|field| find(field.name())).collect::<Result<Vec<_>>>()?;
        let slots: Vec<Slot> = columns.iter().map(SourceColumn::slot).collect();
        if self.stage.is_none() {
            let fields = columns.iter().enumerate().map(|(at, column)| declared(at, column)).collect();
            let doing = format!("load {}", self.relation);
            let stage = Stage::make(self.server, self.desk.location(), fields, &doing).await?;
            self.stage = Some(Filled { stage, columns });
        }
        let Some(Filled { stage, columns }) = &mut self.stage else { return Ok(()) };
        let views = ColumnView::all(&page.rows)?;
        let mut misfits = page.misfits.iter().peekable();
        for row in 0..page.len() {
            let number = self.rows + row as u64;
            stage.begin(number);
            match put_row(stage, columns, &slots, &views, row, misfit_of(&mut misfits, row)) {
                Ok(()) => stage.end().await?,
                Err(reject) => {
                    stage.undo();
                    add_reject(&mut self.loaded, number, reject);
                }
            }
        }
        self.rows += page.len() as u64;
        Ok(())
    }
}

fn put_row(
    stage: &mut Stage<'_>,
    columns: &[SourceColumn],
    slots: &[Slot],
    views: &[ColumnView<'_>],
    row: usize,
    misfit: Option<&Misfit>,
) -> std::result::Result<(), FieldReject> {
    if let Some(misfit) = misfit {
        let field = slots.get(misfit.column).map(|slot| slot.column.name.clone());
        return Err(FieldReject { field, rule: misfit.rule.to_owned(), reason: misfit.reason.clone() });
    }
    for (at, ((slot, column), view)) in slots.iter().zip(columns).zip(views).enumerate() {
        let cell = slot.fit(view.cell(row))?;
        stage.put(at, value(column, &cell)?.as_deref());
    }
    if stage.row_bytes() > ROW_BYTES_MAX {
        let reason = format!("the row has more than {} MB", ROW_BYTES_MAX >> 20);
        return Err(FieldReject::record("too_long", reason));
    }
    Ok(())
}

async fn bring_over(
    desk: &Desk<'_>,
    shape: &Shape,
    relation: &Relation,
    load: &Load,
    staged: Option<&Filled<'_>>,
    mut loaded: Loaded,
) -> Result<Loaded> {
    let doing = format!("load {relation}");
    let rows = staged.map_or(0, |filled| filled.stage.rows);
    loaded.requests = 1;
    loaded.unchanged = rows;
    loaded.rejected.sort_by_key(|(row, _)| *row);
    let mut body = Body::default();
    match &load.mode {
        LoadMode::Append => append(&mut body, shape, staged),
        LoadMode::Merge => merge(&mut body, shape, staged, load, relation)?,
        LoadMode::Replace { max_shrink_pct } => replace(&mut body, shape, staged, rows, *max_shrink_pct),
    }
    let result =
        serde_json::to_string(&loaded).map_err(|error| Error::internal("a span row cannot be written").cause(error))?;
    match desk.carry_out(&load.op, body, &result, &doing).await? {
        End::Done(span) => loaded_of(&span),
        End::Before(span) => Ok(Loaded { replayed: true, ..loaded_of(&span)? }),
        End::Raised(word) => Err(stopped(&word, &doing, shape, relation, load, rows, desk).await?),
    }
}

/// Why the script stopped itself.
async fn stopped(
    word: &str,
    doing: &str,
    shape: &Shape,
    relation: &Relation,
    load: &Load,
    rows: u64,
    desk: &Desk<'_>,
) -> Result<Error> {
    if word == "shrink" {
        let cleared = desk.count(&shape.from, doing).await?;
        check_shrink(&load.mode, &Loaded { cleared, created: rows, ..Loaded::default() }, relation)?;
        return Ok(Error::new(ErrorKind::Locked, format!("{doing}: the table changed while it was replaced")));
    }
    Ok(Error::internal(format!("{doing}: not every row that was staged arrived")))
}

/// The names of the columns, and the expressions that bring them out of the staging table.
fn lists(columns: &[SourceColumn], table: &str) -> (String, String) {
    let names: Vec<String> = columns.iter().map(SourceColumn::quoted).collect();
    let values: Vec<String> =
        columns.iter().enumerate().map(|(at, column)| column.kind.unstaged(&format!("{table}c{at}"))).collect();
    (names.join(", "), values.join(", "))
}

fn insert(body: &mut Body, shape: &Shape, filled: &Filled<'_>) {
    let (names, values) = lists(&filled.columns, "");
    body.sql.push_str(&format!(
        "INSERT INTO {} ({names}) SELECT {values} FROM {};\nSET tg_created = @@row_count;\n\
         IF tg_created != {} THEN RAISE USING MESSAGE = 'tidegate:count'; END IF;\n",
        shape.from,
        filled.stage.from(),
        filled.stage.rows
    ));
}

fn append(body: &mut Body, shape: &Shape, staged: Option<&Filled<'_>>) {
    if let Some(filled) = staged {
        insert(body, shape, filled);
    }
}

/// DELETE and INSERT keep the table with its grants and policies; readers see the old rows until the commit.
fn replace(body: &mut Body, shape: &Shape, staged: Option<&Filled<'_>>, rows: u64, most: Option<f64>) {
    body.sql.push_str(&format!("SET tg_cleared = (SELECT COUNT(*) FROM {});\n", shape.from));
    if let Some(most) = most {
        let most = body.params.add(Param::One("FLOAT64", format!("{most}")));
        body.sql.push_str(&format!(
            "IF tg_cleared >= 20 AND (tg_cleared - {rows}) * 100.0 > {most} * tg_cleared \
             THEN RAISE USING MESSAGE = 'tidegate:shrink'; END IF;\n"
        ));
    }
    body.sql.push_str(&format!("DELETE FROM {} WHERE TRUE;\n", shape.from));
    if let Some(filled) = staged {
        insert(body, shape, filled);
    }
}

/// Of several rows with one key the last one counts, as if they had come one after the other. What was created is
/// counted by the table's own number of rows, which costs nothing.
fn merge(body: &mut Body, shape: &Shape, staged: Option<&Filled<'_>>, load: &Load, relation: &Relation) -> Result<()> {
    let Some(Filled { stage, columns }) = staged else { return Ok(()) };
    let Some(name) = load.key.as_deref() else {
        return Err(Error::config(format!("a merge into {relation} needs a key")));
    };
    let Some(at) = columns.iter().position(|column| column.name == name) else {
        return Err(Error::internal(format!("a merge by {name} without that column")));
    };
    let from = &shape.from;
    let staged_as: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| format!("{} AS v{at}", column.kind.unstaged(&format!("c{at}"))))
        .collect();
    let others: Vec<(usize, &SourceColumn)> = columns.iter().enumerate().filter(|(other, _)| *other != at).collect();
    let differs: Vec<String> = others.iter().map(|(at, column)| differs(*at, column)).collect();
    let sets: Vec<String> = others.iter().map(|(at, column)| format!("{} = S.v{at}", column.quoted())).collect();
    let update = if others.is_empty() {
        String::new()
    } else {
        format!(" WHEN MATCHED AND ({}) THEN UPDATE SET {}", differs.join(" OR "), sets.join(", "))
    };
    let names: Vec<String> = columns.iter().map(SourceColumn::quoted).collect();
    let values: Vec<String> = (0..columns.len()).map(|at| format!("S.v{at}")).collect();
    body.sql.push_str(&format!(
        "SET tg_rows = (SELECT COUNT(*) FROM {from});\n\
         MERGE INTO {from} T USING (SELECT {} FROM {} WHERE TRUE \
         QUALIFY ROW_NUMBER() OVER (PARTITION BY c{at} ORDER BY {NUMBER} DESC) = 1) S \
         ON {} = S.v{at}{update} WHEN NOT MATCHED THEN INSERT ({}) VALUES ({});\n\
         SET tg_updated = @@row_count;\n\
         SET tg_created = (SELECT COUNT(*) FROM {from}) - tg_rows;\n\
         SET tg_updated = tg_updated - tg_created;\n",
        staged_as.join(", "),
        stage.from(),
        columns[at].plain("T."),
        names.join(", "),
        values.join(", ")
    ));
    Ok(())
}

/// Whether a column of the table differs from the staged one; documents by their text.
fn differs(at: usize, column: &SourceColumn) -> String {
    let there = column.kind.compared(&column.plain("T."));
    format!("{there} IS DISTINCT FROM {}", column.kind.compared(&format!("S.v{at}")))
}

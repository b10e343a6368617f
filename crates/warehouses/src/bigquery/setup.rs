//! `tidegate setup bigquery`: the commands that set a project up, in order, for an owner of the project to read and
//! run. Nothing is connected to; `tidegate check` verifies each of them afterwards.

use tidegate_model::{Error, Result};

/// How tidegate is to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// A service account with a key file.
    ServiceAccount,
    /// What the machine has: no key leaves Google.
    ApplicationDefault,
    /// A person's consent.
    Oauth,
}

/// What is to be set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The project that runs and pays.
    pub project: String,
    /// Datasets that are read (and written, with `write`).
    pub datasets: Vec<String>,
    /// Where the data is.
    pub location: String,
    /// `access: write`.
    pub write: bool,
    /// How it logs in.
    pub auth: Auth,
    /// Name of the connection.
    pub connection: String,
    /// The dataset of tidegate's own tables.
    pub work: String,
    /// Who consents, or what the machine logs in as, with [`Auth::Oauth`] and [`Auth::ApplicationDefault`].
    pub member: Option<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is for.
    pub what: String,
    /// Commands to run; empty for what is done in the console.
    pub commands: Vec<String>,
}

/// The set-up: its steps, and the connection's file.
#[derive(Debug, Clone)]
pub struct Setup {
    /// In the order in which they are done.
    pub steps: Vec<Step>,
    /// The connection's file: its path in the project, and its text.
    pub file: (String, String),
}

/// Makes the set-up.
///
/// # Errors
/// Names that cannot be those of a project, a dataset or a location; they would stand in commands as they are.
pub fn setup(options: &Options) -> Result<Setup> {
    name("project", &options.project, "-.:")?;
    name("location", &options.location, "-")?;
    name("connection", &options.connection, "-_")?;
    name("dataset", &options.work, "_")?;
    options.datasets.iter().try_for_each(|dataset| name("dataset", dataset, "_"))?;
    if options.datasets.is_empty() {
        return Err(Error::config("there is nothing to read or write").hint("name datasets: --dataset NAME"));
    }
    let member = member(options)?;
    let mut steps = vec![apis(options)];
    steps.extend(login(options));
    steps.push(project_roles(options, &member));
    steps.push(dataset_roles(options, &member));
    if options.write {
        steps.push(work_dataset(options, &member));
    }
    steps.push(Step {
        what: "tables whose changes are to be read (`changes: tracking`) keep their history; it costs a little storage"
            .into(),
        commands: vec![format!(
            "bq query --use_legacy_sql=false --location={} 'ALTER TABLE `{}`.{}.<table> SET OPTIONS (enable_change_history = TRUE)'",
            options.location, options.project, options.datasets[0]
        )],
    });
    steps.push(Step {
        what: "what is set up is verified, and what is missing is said with what mends it".into(),
        commands: vec![format!("tidegate check {}", options.connection)],
    });
    Ok(Setup { steps, file: file(options) })
}

/// A name that can stand in a command without quotes.
fn name(what: &str, text: &str, more: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        return Ok(());
    }
    Err(Error::config(format!("{text:?} is no name of a {what}")).hint("names have letters, digits and little else"))
}

fn member(options: &Options) -> Result<String> {
    let given = || -> Result<String> {
        let Some(member) = &options.member else {
            return Err(Error::config("nobody is named who gets the roles")
                .hint("--member user:NAME@example.com, or serviceAccount:NAME@PROJECT.iam.gserviceaccount.com"));
        };
        let (kind, who) = member.split_once(':').unwrap_or(("", member));
        let plain = who.chars().all(|c| c.is_ascii_alphanumeric() || "@.-_/:".contains(c)) && !who.is_empty();
        if plain && matches!(kind, "user" | "serviceAccount" | "group" | "principal" | "principalSet") {
            return Ok(member.clone());
        }
        Err(Error::config(format!("{member:?} is no member")).hint("it looks like user:NAME@example.com"))
    };
    match options.auth {
        Auth::ServiceAccount => Ok(format!("serviceAccount:tidegate@{}.iam.gserviceaccount.com", options.project)),
        Auth::ApplicationDefault | Auth::Oauth => given(),
    }
}

fn apis(options: &Options) -> Step {
    Step {
        what: "the APIs are on: queries, and the fast way to read their results".into(),
        commands: vec![format!(
            "gcloud services enable bigquery.googleapis.com bigquerystorage.googleapis.com --project={}",
            options.project
        )],
    }
}

fn login(options: &Options) -> Vec<Step> {
    let project = &options.project;
    match options.auth {
        Auth::ServiceAccount => vec![
            Step {
                what: "a service account of tidegate's own".into(),
                commands: vec![format!("gcloud iam service-accounts create tidegate --project={project}")],
            },
            Step {
                what: "its key; keep it out of version control (organisations that forbid keys: --auth application-default)"
                    .into(),
                commands: vec![
                    format!(
                        "gcloud iam service-accounts keys create keys/{}.json --iam-account=tidegate@{project}.iam.gserviceaccount.com",
                        options.connection
                    ),
                    format!("chmod 600 keys/{}.json", options.connection),
                ],
            },
        ],
        Auth::ApplicationDefault => vec![Step {
            what: "a login on the machine where tidegate runs; on Google's own machines the service account attached to them is taken".into(),
            commands: vec![
                "gcloud auth application-default login --scopes=https://www.googleapis.com/auth/bigquery,https://www.googleapis.com/auth/cloud-platform".into(),
            ],
        }],
        Auth::Oauth => vec![
            Step {
                what: format!(
                    "a consent screen: console.cloud.google.com/auth/overview?project={project}, audience Internal (in testing, consents end after seven days), scope https://www.googleapis.com/auth/bigquery"
                ),
                commands: Vec::new(),
            },
            Step {
                what: format!(
                    "an OAuth client of the type Desktop app: console.cloud.google.com/auth/clients/create?project={project}; its id goes into the file below, its secret into the store"
                ),
                commands: vec![format!("tidegate secrets set {}_client_secret", options.connection)],
            },
            Step {
                what: "after the file below is in place: sign in".into(),
                commands: vec![format!("tidegate auth {}", options.connection)],
            },
        ],
    }
}

fn project_roles(options: &Options, member: &str) -> Step {
    let bind = |role: &str| {
        format!(
            "gcloud projects add-iam-policy-binding {} --member={member} --role={role} --condition=None",
            options.project
        )
    };
    Step {
        what: "running queries, and reading their results by the Storage Read API".into(),
        commands: vec![bind("roles/bigquery.jobUser"), bind("roles/bigquery.readSessionUser")],
    }
}

fn grant(options: &Options, dataset: &str, role: &str, member: &str) -> String {
    format!(
        "bq query --use_legacy_sql=false --location={} 'GRANT `{role}` ON SCHEMA `{}`.{dataset} TO \"{member}\"'",
        options.location, options.project
    )
}

fn dataset_roles(options: &Options, member: &str) -> Step {
    let role = if options.write { "roles/bigquery.dataEditor" } else { "roles/bigquery.dataViewer" };
    Step {
        what: format!(
            "{} these datasets, and no others",
            if options.write { "reading and writing" } else { "reading" }
        ),
        commands: options.datasets.iter().map(|dataset| grant(options, dataset, role, member)).collect(),
    }
}

fn work_dataset(options: &Options, member: &str) -> Step {
    Step {
        what: "a dataset for tidegate's own tables, in the location of the tables that are written".into(),
        commands: vec![
            format!("bq mk --dataset --location={} {}:{}", options.location, options.project, options.work),
            grant(options, &options.work, "roles/bigquery.dataEditor", member),
        ],
    }
}

fn file(options: &Options) -> (String, String) {
    let name = &options.connection;
    let auth = match options.auth {
        Auth::ServiceAccount => format!("{{ method: service_account, key: \"${{file:keys/{name}.json}}\" }}"),
        Auth::ApplicationDefault => "{ method: application_default }".to_owned(),
        Auth::Oauth => {
            format!("{{ method: oauth, client_id: <client id>, client_secret: \"secret:{name}_client_secret\" }}")
        }
    };
    let access = if options.write { format!("access: write\nwork_schema: {}\n", options.work) } else { String::new() };
    let text = format!(
        "version: 1\ntype: bigquery\nproject: {}\ndataset: {}\nlocation: {}\nmaximum_bytes_billed: 50000000000\nauth: {auth}\n{access}",
        options.project, options.datasets[0], options.location
    );
    (format!("connections/{name}.yaml"), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(auth: Auth, write: bool) -> Options {
        Options {
            project: "acme-data".into(),
            datasets: vec!["crm".into(), "usage".into()],
            location: "EU".into(),
            write,
            auth,
            connection: "lake".into(),
            work: "TIDEGATE".into(),
            member: Some("user:jo@acme.example".into()),
        }
    }

    fn commands(options: &Options) -> String {
        let steps = setup(options).expect("a set-up").steps;
        steps.into_iter().flat_map(|step| step.commands).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_reader_gets_nothing_to_write_with() {
        let read = commands(&options(Auth::ServiceAccount, false));
        assert!(!read.contains("dataEditor") && !read.contains("TIDEGATE"), "{read}");
        let owner = "serviceAccount:tidegate@acme-data.iam.gserviceaccount.com";
        for text in ["bigquerystorage.googleapis.com", "readSessionUser", "`acme-data`.usage TO", owner, "check lake"] {
            assert!(read.contains(text), "no {text} in {read}");
        }
        let write = commands(&options(Auth::ServiceAccount, true));
        assert!(write.contains("dataEditor` ON SCHEMA `acme-data`.TIDEGATE"), "{write}");
    }

    #[test]
    fn the_file_that_is_printed_opens() {
        for auth in [Auth::ServiceAccount, Auth::ApplicationDefault, Auth::Oauth] {
            for write in [false, true] {
                let (path, text) = setup(&options(auth, write)).expect("a set-up").file;
                assert_eq!(path, "connections/lake.yaml");
                assert!(text.contains("project: acme-data") && text.contains("method: "), "{text}");
                assert_eq!(text.contains("access: write"), write);
            }
        }
        let consent = setup(&options(Auth::Oauth, false)).expect("a set-up");
        assert!(consent.steps.iter().any(|step| step.what.contains("consent screen")));
        assert!(commands(&options(Auth::Oauth, false)).contains("--member=user:jo@acme.example"));
    }

    #[test]
    fn names_cannot_leave_their_command() {
        let bad = |change: &dyn Fn(&mut Options)| {
            let mut options = options(Auth::Oauth, true);
            change(&mut options);
            setup(&options).expect_err("refused").kind
        };
        let config = tidegate_model::ErrorKind::Config;
        assert_eq!(bad(&|options| options.project = "a; rm -rf".into()), config);
        assert_eq!(bad(&|options| options.datasets = vec!["a'b".into()]), config);
        assert_eq!(bad(&|options| options.datasets.clear()), config);
        assert_eq!(bad(&|options| options.member = Some("user:$(x)".into())), config);
        assert_eq!(bad(&|options| options.member = None), config);
    }
}

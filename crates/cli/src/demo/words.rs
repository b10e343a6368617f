//! The words from which the demo's companies and people are made. Real data is not ASCII; neither is this.

/// First halves of company names.
pub const COMPANY_HEADS: &[&str] = &[
    "Nordwind",
    "Åkerlund",
    "Blue Harbor",
    "Zürich",
    "Pão Quente",
    "Café Zoë",
    "Łódź",
    "Ångström",
    "Björk",
    "Crème",
    "Dune",
    "Ember",
    "Fjord",
    "Granite",
    "Højgaard",
    "Iris",
    "Jäger",
    "Kestrel",
    "Lumen",
    "Mistral",
    "Nimbus",
    "Ørsted Bay",
    "Piñata",
    "Quartz",
    "Rosé",
    "Saffron",
    "Tide",
    "Überland",
    "Vega",
    "Willow",
    "Xenon",
    "Yarrow",
    "Żubr",
    "Aurora",
    "Basalt",
    "Cobalt",
    "Delta",
    "Елена",
    "東京",
    "서울",
    "Αθήνα",
    "Osprey",
    "Pinecone",
    "Redwood",
    "Sienna",
    "Tundra",
];

/// Second halves.
pub const COMPANY_TAILS: &[&str] = &[
    "Logistics",
    "Software",
    "Health",
    "Analytics",
    "Foods",
    "Energy",
    "Robotics",
    "Media",
    "Insurance",
    "Travel",
    "Learning",
    "Security",
    "Textiles",
    "Mobility",
    "Studios",
    "Farms",
    "Bank",
    "Labs",
    "Networks",
    "Design",
];

/// Legal forms; most have none.
pub const COMPANY_FORMS: &[&str] =
    &["", "", "", " AB", " GmbH", " Inc.", " Ltd", " S.A.", " & Söner", " A/S", " 株式会社"];

/// Given names.
pub const FIRST_NAMES: &[&str] = &[
    "Ada", "Björn", "Chloé", "Dmitri", "Élodie", "Fatima", "Grace", "Håkan", "Inês", "Jürgen", "Kenji", "Łukasz",
    "María", "Noor", "Olga", "Priya", "Quentin", "Rosa", "Søren", "Thi", "Ulla", "Víctor", "Wei", "Ximena", "Yūki",
    "Zoë", "Amara", "Bo", "Carmen", "Deniz", "Emma", "Finn", "Gita", "Hugo", "Isla", "Jonas", "Kofi", "Lena", "Mateo",
    "Nadia",
];

/// Family names.
pub const LAST_NAMES: &[&str] = &[
    "Andersson",
    "Østergaard",
    "Garcia",
    "Müller",
    "O'Brien",
    "Nguyen",
    "Kowalski",
    "Silva",
    "Tanaka",
    "Ivanova",
    "Kim",
    "Dubois",
    "Rossi",
    "Novák",
    "Papadopoulos",
    "Yılmaz",
    "Smith",
    "van den Berg",
    "Haddad",
    "Okafor",
    "Lindqvist",
    "Weiß",
    "Santos",
    "Moreau",
    "Johansson",
    "Singh",
    "Chen",
    "Bianchi",
    "Fischer",
    "Jensen",
];

/// Countries, as their codes.
pub const COUNTRIES: &[&str] = &["SE", "DE", "FR", "GB", "US", "BR", "JP", "PL", "DK", "ES", "KR", "NL"];

/// Phases of a customer's life, as the warehouse writes them.
pub const PHASES: &[&str] = &["trial", "Onboarding", "Adoption", "Renewal", "Churning"];

/// What people do in the product.
pub const ACTIONS: &[&str] =
    &["login", "report_viewed", "export_created", "invite_sent", "dashboard_opened", "api_call", "comment_added"];

/// Titles of people.
pub const POSITIONS: &[&str] = &["CEO", "Head of Data", "Analyst", "Customer Success", "Engineer", "Procurement"];

/// Stages of a deal.
pub const STAGES: &[&str] = &["Qualified", "Demo", "Proposal", "Negotiation"];

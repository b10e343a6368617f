//! Random calls from the OpenAPI document: whatever comes, the answer is one of those that the document names, JSON with
//! an error that says something, and never a fault of the server.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::bench::Bench;
use super::server::Server;

/// Calls of a short run; `TIDEGATE_FUZZ_CALLS` makes it a long one.
const CALLS: usize = 1_500;

struct Fuzz {
    rng: StdRng,
    schemas: Value,
}

impl Fuzz {
    fn odd_text(&mut self) -> String {
        const TEXTS: &[&str] = &[
            "",
            "companies",
            "crm",
            "lake",
            "C1",
            "phase",
            "company",
            "full",
            "../..",
            "a\u{0}b",
            "é東京🦀",
            "' OR 1=1 --",
            "%2e%2e%2f",
            "<script>",
            "\r\nX: y",
            "secret:x",
            "${PATH}",
            "${file:/etc/passwd}",
            "9223372036854775808",
            "-1",
            "null",
            "[]",
            "version: 1\n",
            "&a: *a",
            "{{{{",
            "true",
            "7b7d",
            "5b312c325d",
            "5b22222c22222c22222c22225d",
        ];
        match self.rng.random_range(0..10) {
            0 => "x".repeat(self.rng.random_range(0..5_000)),
            1 => (0..self.rng.random_range(0..30)).map(|_| self.rng.random::<char>()).collect(),
            _ => (*TEXTS.choose(&mut self.rng).expect("some")).to_owned(),
        }
    }

    /// A value of a schema, mostly; of another now and then.
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if depth > 4 || self.rng.random_ratio(1, 12) {
            return match self.rng.random_range(0..6) {
                0 => Value::Null,
                1 => json!(self.rng.random::<i64>()),
                2 => json!(self.rng.random::<bool>()),
                3 => json!(self.odd_text()),
                4 => json!([self.odd_text()]),
                _ => json!({ self.odd_text(): 1 }),
            };
        }
        if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next()) {
            let target = self.schemas[name].clone();
            return self.value(&target, depth + 1);
        }
        for words in ["anyOf", "oneOf"] {
            if let Some(choice) =
                schema.get(words).and_then(Value::as_array).and_then(|all| all.choose(&mut self.rng)).cloned()
            {
                return self.value(&choice, depth + 1);
            }
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(word) = schema.get("enum").and_then(Value::as_array).and_then(|all| all.choose(&mut self.rng)) {
            return word.clone();
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.choose(&mut self.rng).and_then(Value::as_str).unwrap_or("null"),
            Some(Value::String(kind)) => kind,
            _ => "string",
        };
        match kind {
            "boolean" => json!(self.rng.random::<bool>()),
            "integer" | "number" => json!(*[0, 1, 7, 500, -1, i64::MAX].choose(&mut self.rng).expect("some")),
            "array" => {
                let item = schema.get("items").cloned().unwrap_or(json!({}));
                (0..self.rng.random_range(0..3)).map(|_| self.value(&item, depth + 1)).collect()
            }
            "object" => {
                let mut out = Map::new();
                for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                    if self.rng.random_ratio(4, 5) {
                        out.insert(name.clone(), self.value(schema, depth + 1));
                    }
                }
                Value::Object(out)
            }
            "null" => Value::Null,
            _ => json!(self.odd_text()),
        }
    }

    fn text(&mut self, schema: &Value) -> String {
        match self.value(schema, 0) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b == b'.' { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// The address and the body of a random call.
fn call(fuzz: &mut Fuzz, path: &str, operation: &Value) -> (String, String) {
    let (mut address, mut query) = (path.to_owned(), Vec::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a name");
        let text = fuzz.text(&parameter["schema"]);
        if parameter["in"] == "path" {
            // Half of the time something that is there: what is behind the first look has to stand as well.
            let known = match name {
                "sync" => "companies",
                "connection" => *["crm", "lake"].choose(&mut fuzz.rng).expect("some"),
                _ => "x",
            };
            let part = if fuzz.rng.random::<bool>() { known.to_owned() } else { text };
            address = address.replace(&format!("{{{name}}}"), &escaped(&part));
        } else if fuzz.rng.random_ratio(2, 3) {
            query.push(format!("{}={}", escaped(name), escaped(&text)));
        }
    }
    if !query.is_empty() {
        address = format!("{address}?{}", query.join("&"));
    }
    let body = match operation["requestBody"]["content"].get("application/json") {
        Some(media) => {
            let mut text = fuzz.value(&media["schema"], 0).to_string();
            if fuzz.rng.random_ratio(1, 20) {
                text.truncate((0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
            }
            text
        }
        None => String::new(),
    };
    (address, body)
}

#[test]
fn no_call_is_a_fault_of_the_server() {
    let calls = std::env::var("TIDEGATE_FUZZ_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(CALLS);
    let seed: u64 = std::env::var("TIDEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("TIDEGATE_SEED={seed}");
    let bench = Bench::with_companies();
    bench.run(&["run", "companies", "--full"]).expect(0);
    let mut server = Server::serve(&bench);
    let document = server.get("/api/v1/openapi.json").expect(200).json();
    let mut fuzz = Fuzz { rng: StdRng::seed_from_u64(seed), schemas: document["components"]["schemas"].clone() };
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            // A user would end the time in which nobody has to sign in; the attacks look at these.
            if !path.contains("/users") {
                operations.push((path.clone(), method.to_uppercase(), operation.clone()));
            }
        }
    }
    assert!(operations.len() > 40, "{}", operations.len());
    let mut seen = std::collections::BTreeMap::<u16, usize>::new();
    for number in 0..calls {
        let (path, method, operation) = operations.choose(&mut fuzz.rng).expect("some").clone();
        let (address, body) = call(&mut fuzz, &path, &operation);
        let answer = server.send(&method, &address, "Content-Type: application/json\r\n", &body);
        *seen.entry(answer.code).or_default() += 1;
        let told = || format!("seed {seed}, call {number}: {method} {address}\n{body}\n{answer:?}");
        let known = operation["responses"].get(answer.code.to_string()).is_some();
        assert!(
            known || answer.code == 405 || answer.code == 414,
            "an answer that the document does not name: {}",
            told()
        );
        if answer.code != 200 {
            let error = answer.json();
            let message = error["error"]["message"].as_str().unwrap_or_default();
            assert!(!message.is_empty() && error["error"]["code"].is_string(), "{}", told());
        }
        assert!(!server.ended(), "the server is gone: {}", told());
    }
    println!("{seen:?}");
    assert!(seen.get(&200).copied().unwrap_or(0) > calls / 10, "hardly anything was let through: {seen:?}");
}

//! The OpenAPI document, made of the table of calls: it cannot say anything else than what is served.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use super::endpoint::Endpoint;
use super::{PREFIX, endpoints};

/// The document, as it is served.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    TEXT.as_str()
}

/// The OpenAPI document of this version's API.
pub fn document() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Json> = Map::new();
    for endpoint in endpoints::all() {
        let at = paths.entry(format!("{PREFIX}{}", endpoint.spec.path)).or_insert_with(|| json!({}));
        if let Json::Object(methods) = at {
            methods.insert(endpoint.spec.method.to_lowercase(), operation(&endpoint, &mut generator));
        }
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Error".to_owned(), error_schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tidegate",
            "version": "1",
            "description": "Everything that the pages of `tidegate serve` show and do. Lists come in pages: hand `next` \
                            in as `after`. Errors are `{\"error\":{\"code\",\"message\",\"hint\"}}`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "`tidegate tokens add NAME --scope SCOPE`" }
            }
        },
        "security": [{ "token": [] }]
    })
}

fn error_schema() -> Json {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["code", "message", "hint"],
            "properties": {
                "code": { "type": "string", "description": "A stable word." },
                "message": { "type": "string", "description": "What happened." },
                "hint": { "type": ["string", "null"], "description": "What to do next." }
            }
        } }
    })
}

fn operation(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Json {
    let spec = &endpoint.spec;
    let mut parameters = parameters("path", &(endpoint.path)(generator));
    parameters.extend(self::parameters("query", &(endpoint.query)(generator)));
    let answer = (endpoint.answer)(generator);
    let media = spec.file.and_then(|kind| kind.split(';').next()).unwrap_or("application/json");
    let mut content = Map::new();
    content.insert(media.to_owned(), json!({ "schema": answer }));
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({ "description": "Done.", "content": content }));
    for (code, what) in ERRORS {
        let error = json!({ "$ref": "#/components/schemas/Error" });
        let body = json!({ "description": what, "content": { "application/json": { "schema": error } } });
        responses.insert((*code).to_owned(), body);
    }
    let mut operation = json!({
        "operationId": spec.name,
        "summary": spec.about,
        "description": format!("Needs the scope `{}`.", spec.scope),
        "parameters": parameters,
        "responses": responses
    });
    if let Json::Object(map) = &mut operation
        && spec.method != "GET"
        && spec.method != "DELETE"
    {
        let body = (endpoint.body)(generator);
        if spec.any_body {
            let any = json!({ "content": { "application/json": { "schema": {} } } });
            map.insert("requestBody".to_owned(), any);
        } else if !is_empty(&body, generator) {
            let needed = json!({ "required": true, "content": { "application/json": { "schema": body } } });
            map.insert("requestBody".to_owned(), needed);
        }
    }
    operation
}

/// What may go wrong with any call.
const ERRORS: &[(&str, &str)] = &[
    ("401", "Nobody has signed in, or the token does not hold."),
    ("403", "The caller may not do this."),
    ("404", "What is named is not there."),
    ("409", "It cannot be done as things stand."),
    ("413", "The body is too large."),
    ("422", "What was asked does not fit."),
    ("424", "A connection's credentials were refused."),
    ("503", "The state or the other side cannot be reached."),
    ("507", "No space is left."),
];

fn is_empty(schema: &Schema, generator: &SchemaGenerator) -> bool {
    let name = schema.get("$ref").and_then(Json::as_str).and_then(|at| at.rsplit('/').next());
    let named = name.and_then(|name| generator.definitions().get(name));
    let own = named.unwrap_or_else(|| schema.as_value());
    own.get("properties").and_then(Json::as_object).is_none_or(Map::is_empty)
}

fn parameters(place: &str, schema: &Schema) -> Vec<Json> {
    let value = schema.as_value();
    let Some(properties) = value.get("properties").and_then(Json::as_object) else { return Vec::new() };
    let required = value.get("required").and_then(Json::as_array).cloned().unwrap_or_default();
    let one = |(name, schema): (&String, &Json)| {
        let needed = place == "path" || required.iter().any(|word| word.as_str() == Some(name));
        let mut schema = schema.clone();
        let about = schema.as_object_mut().and_then(|map| map.remove("description")).unwrap_or(Json::Null);
        json!({ "name": name, "in": place, "required": needed, "description": about, "schema": schema })
    };
    properties.iter().map(one).collect()
}

//! The request tests of the design, which were made with the `cedar` program, a schema and policies of their own.

use chrono::{DateTime, NaiveDate, Utc};
use sb_rbac::*;
use serde_json::Value;

use super::built_in;

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    let text = value["__extn"]["arg"].as_str()?;
    Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc())
}

fn id(value: &Value) -> String {
    value["__entity"]["id"].as_str().unwrap().to_owned()
}

fn ids(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(id).collect()
}

/// The type and the id of `SB::Type::"id"`.
fn parts(uid: &Value) -> (String, String) {
    let (kind, id) = uid.as_str().unwrap().rsplit_once("::").unwrap();
    (kind.to_owned(), id.trim_matches('"').to_owned())
}

struct World(Vec<Value>);

impl World {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let is_one = move |entity: &&Value| entity["uid"]["type"] == kind;
        self.0.iter().filter(is_one).map(|entity| (entity["uid"]["id"].as_str().unwrap(), entity))
    }

    fn attributes<'a>(&'a self, kind: &'a str, id: &'a str) -> &'a Value {
        &self.of(kind).find(|(found, _)| *found == id).unwrap().1["attrs"]
    }

    fn parents(&self, kind: &str, id: &str, of: &str) -> Vec<String> {
        let entity = self.of(kind).find(|(found, _)| *found == id).unwrap().1;
        let parents = entity["parents"].as_array().unwrap().iter();
        parents.filter(|parent| parent["type"] == of).map(|parent| parent["id"].as_str().unwrap().to_owned()).collect()
    }

    fn directory(&self) -> Directory {
        let mut directory = Directory::new();
        for (client, _) in self.of("SB::Client") {
            directory.add_client(client);
        }
        for (name, entity) in self.of("SB::User") {
            let attributes = &entity["attrs"];
            let mut user =
                User::new(self.parents("SB::User", name, "SB::Role")).working_for(ids(&attributes["clients"]));
            user.is_active = attributes["active"].as_bool().unwrap();
            user.walled_off = ids(&attributes["walledOff"]).into_iter().map(ClientId::from).collect();
            user.access_until = time(&attributes["accessUntil"]);
            directory.set_user(name, user);
        }
        for (name, _) in self.of("SB::Service") {
            directory.set_service(name, Service::new(self.parents("SB::Service", name, "SB::Role")));
        }
        directory
    }

    fn change(&self, name: &str) -> ChangeRequest {
        let attributes = self.attributes("SB::ChangeRequest", name);
        let kind = match attributes["kind"].as_str().unwrap() {
            "dispose" => RequestKind::Dispose,
            _ => RequestKind::Shorten,
        };
        let mut change = ChangeRequest::new(name, kind, "", id(&attributes["proposedBy"]));
        change.approvals = ids(&attributes["approvals"]).into_iter().map(UserId::from).collect();
        change.required = u32::try_from(attributes["required"].as_u64().unwrap()).unwrap();
        change.targets = [("SB::Document", "document"), ("SB::Policy", "retention")]
            .into_iter()
            .flat_map(|(kind, word)| {
                let is_target = |entity: &&Value| entity["attrs"]["request"]["__entity"]["id"] == name;
                self.of(kind).filter(move |(_, entity)| is_target(entity)).map(move |(id, _)| format!("{word}:{id}"))
            })
            .collect();
        change
    }

    fn resource(&self, uid: &Value, context: &Value) -> Resource {
        let (kind, name) = parts(uid);
        match kind.as_str() {
            "SB::Document" => {
                let attributes = self.attributes(&kind, &name);
                let mut document = Document::new(&name, id(&attributes["client"]));
                document.snapshot = self.parents(&kind, &name, "SB::Snapshot").pop();
                document.classes = self.parents(&kind, &name, "SB::DocumentClass").into_iter().collect();
                document.retain_until = time(&attributes["retainUntil"]);
                document.holds = u32::try_from(attributes["holds"].as_u64().unwrap()).unwrap();
                Resource::Document(document)
            }
            "SB::Policy" => {
                let is_compliance = self.attributes(&kind, &name)["mode"] == "compliance";
                let mode = if is_compliance { RetentionMode::Compliance } else { RetentionMode::Governance };
                Resource::Retention { id: name, mode }
            }
            "SB::ChangeRequest" => Resource::Request(self.change(&name)),
            "SB::AuditLog" => Resource::Log(name),
            "SB::User" => {
                let after = ids(&context["resultingRoles"]).into_iter().map(RoleName::from).collect();
                Resource::Roles { user: name.into(), after }
            }
            other => panic!("no vector is about {other}"),
        }
    }
}

#[test]
fn all_request_tests_of_the_design_decide_as_there() {
    let world = World(vectors(include_str!("../vectors/cedar/entities.json")));
    let (authorizer, directory) = (built_in(), world.directory());
    let tests = vectors(include_str!("../vectors/cedar/requests.json"));
    assert_eq!(tests.len(), 24);
    for test in tests {
        let (asked, given) = (&test["request"], &test["request"]["context"]);
        let (kind, name) = parts(&asked["principal"]);
        let principal = if kind == "SB::User" { Principal::user(name) } else { Principal::service(name) };
        let mut context = Context::new(time(&given["now"]).unwrap());
        context.mfa = given["mfa"].as_bool().unwrap();
        context.clock_trusted = given["clockTrusted"].as_bool().unwrap();
        context.request = given.get("request").map(|request| world.change(&id(request)));
        let action = Action::named(&parts(&asked["action"]).1).unwrap();
        let request = Request::new(principal, action, world.resource(&asked["resource"], given), context);
        let decision = authorizer.authorize(&directory, &request);
        assert_eq!(decision.is_allowed, test["decision"] == "allow", "{}: {decision:?}", test["name"]);
        assert_eq!(decision, authorizer.authorize_unsliced(&directory, &request));
        // For the reasons given there, and perhaps more; one rule of theirs is two here.
        let found: Vec<&str> = decision.determined_by.iter().map(|by| by.id.as_str()).collect();
        for reason in test["reason"].as_array().unwrap() {
            let is_self = test["name"] == "no self assignment";
            let reason = if is_self { "f-no-grant-to-oneself" } else { reason.as_str().unwrap() };
            assert!(found.contains(&reason), "{}: {found:?} lacks {reason}", test["name"]);
        }
    }
}

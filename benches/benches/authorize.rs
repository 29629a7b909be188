//! Decisions a second, with 200 policies of a firm and 1,000 users: sliced and with every policy asked, on one thread and on two.
//!
//!     cargo bench -p benches --bench authorize [-- DECISIONS]

#![allow(clippy::print_stdout, reason = "what is measured is what it prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sb_rbac::{
    Action, Authorizer, ChangeRequest, Context, Directory, Document, Policies, Principal, Request, RequestKind,
    Resource, Role, Service, User,
};

const USERS: usize = 1000;
const CLIENTS: usize = 100;
const POLICIES: usize = 200;
const REQUESTS: usize = 5000;

fn main() {
    // `cargo bench` passes an argument of its own, and `cargo test` one that asks for no measuring.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let decisions = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let directory = directory();
    let (checked, took) = timed(|| Policies::check(&policies(), &directory).expect("they undo nothing"));
    println!("{POLICIES} policies read and checked in {:.2} s\n", took.as_secs_f64());
    let authorizer = Authorizer::new(checked);
    let requests: Vec<Request> = (0..REQUESTS).map(request).collect();
    let allowed = requests.iter().filter(|request| authorizer.authorize(&directory, request).is_allowed).count();
    println!("{:.0} % of {REQUESTS} requests are allowed\n", 100.0 * allowed as f64 / REQUESTS as f64);
    println!("| how | threads | decisions | time | a second |\n|---|---|---|---|---|");
    for threads in [1, 2] {
        let ((), took) = timed(|| {
            run(threads, decisions, &requests, |request| authorizer.authorize(&directory, request).is_allowed);
        });
        row("sliced", threads, decisions, took);
    }
    let few = (decisions / 50).max(2);
    for threads in [1, 2] {
        let ((), took) = timed(|| {
            run(threads, few, &requests, |request| authorizer.authorize_unsliced(&directory, request).is_allowed);
        });
        row("every policy", threads, few, took);
    }
    let ((), took) = timed(|| {
        for request in requests.iter().take(100) {
            black_box(authorizer.explain(&directory, request));
        }
    });
    row("explained", 1, 100, took);
}

fn run(threads: usize, decisions: usize, requests: &[Request], decide: impl Fn(&Request) -> bool + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let decide = &decide;
            scope.spawn(move || {
                for request in requests.iter().cycle().skip(thread * 1000).take(decisions / threads) {
                    black_box(decide(request));
                }
            });
        }
    });
}

fn row(how: &str, threads: usize, decisions: usize, took: Duration) {
    let rate = decisions as f64 / took.as_secs_f64();
    println!("| {how} | {threads} | {decisions} | {:.2} s | {rate:.0} |", took.as_secs_f64());
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

/// A thousand users, most of them staff with ten clients and a wall each.
fn directory() -> Directory {
    let mut directory = Directory::new();
    for client in 0..CLIENTS {
        directory.add_client(format!("c_{client}"));
    }
    for team in 0..20 {
        directory.define_role(format!("team-{team}"), [Role::Restorer]).expect("a new name");
    }
    for n in 0..USERS {
        let role = match n % 20 {
            0 => Role::ComplianceOfficer.name().to_owned(),
            1 => Role::Operator.name().to_owned(),
            2 => Role::Administrator.name().to_owned(),
            _ => format!("team-{}", n % 20),
        };
        let mut user = User::new([role]).working_for((0..10).map(|k| format!("c_{}", (n + k * 7) % CLIENTS)));
        user.walled_off = [format!("c_{}", (n + 3) % CLIENTS).into()].into();
        directory.set_user(format!("u_{n}"), user);
    }
    directory.set_service("night", Service::new([Role::Operator, Role::DisposalExecutor]));
    directory
}

/// Of a firm with teams that see more or less than their clients.
fn policies() -> String {
    let policy = |n: usize| {
        let (team, client) = (n % 20, n % CLIENTS);
        match n % 4 {
            0 => format!(
                "@id(\"p{n}\") permit (principal in SB::Role::\"team-{team}\", action in SB::Action::\"read\", \
                 resource in SB::Client::\"c_{client}\");\n"
            ),
            1 => format!(
                "@id(\"p{n}\") forbid (principal in SB::Role::\"team-{team}\", action in SB::Action::\"look\", \
                 resource in SB::Client::\"c_{client}\") unless {{ context.mfa }};\n"
            ),
            2 => format!(
                "@id(\"p{n}\") permit (principal in SB::Role::\"team-{team}\", action == SB::Action::\"MeasureVault\", \
                 resource) when {{ context.now < datetime(\"2030-01-01\") }};\n"
            ),
            _ => format!(
                "@id(\"p{n}\") forbid (principal, action == SB::Action::\"RestoreDocument\", \
                 resource in SB::DocumentClass::\"class-{n}\") when {{ !context.clockTrusted }};\n"
            ),
        }
    };
    (0..POLICIES).map(policy).collect()
}

fn request(n: usize) -> Request {
    let client = format!("c_{}", (n * 31) % CLIENTS);
    let mut document = Document::new(format!("d_{n}"), client.as_str());
    document.snapshot = Some(format!("s_{}", n % 50));
    document.classes = [format!("class-{}", n % 40)].into();
    document.retain_until = Some(now());
    let mut context = Context::new(now());
    (context.mfa, context.clock_trusted) = (!n.is_multiple_of(3), true);
    let user = Principal::user(format!("u_{}", (n * 7) % USERS));
    let (principal, action, resource) = match n % 5 {
        0 => (user, Action::ReadDocument, Resource::Document(document)),
        1 => (user, Action::RestoreDocument, Resource::Document(document)),
        2 => (user, Action::ListSnapshot, Resource::Snapshot { id: format!("s_{}", n % 50), client: client.into() }),
        3 => (user, Action::MeasureVault, Resource::Vault),
        _ => {
            let target = format!("document:d_{n}");
            let change = ChangeRequest::new("r_1", RequestKind::Dispose, target, "u_2");
            context.request = Some(change.approved_by("u_0"));
            (Principal::service("night"), Action::DisposeDocument, Resource::Document(document))
        }
    };
    Request::new(principal, action, resource, context)
}

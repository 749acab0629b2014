//! `orders`, `evidence`: what the host's own journal says, read beside the agent that writes it.

use clap::Args;
use rescind_protocol::name::{AccountName, KeyFingerprint, OrderId};
use serde_json::Value;

use crate::cli::exit::Exit;
use crate::cli::local::Where;
use crate::cli::table::{Table, text};
use crate::orders::{EngineError, history};
use crate::store::Question;

/// The orders this host knows, those about an account or a key, or one of them with its history
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rescind-agent orders\n  \
                        rescind-agent orders --account alice\n  \
                        rescind-agent orders 01932c07-7c1e-7b9a-9b53-8f6f3c0c9a11")]
pub struct Orders {
    /// One order
    order: Option<OrderId>,
    /// Only those that name this account
    #[arg(long, value_name = "NAME", conflicts_with = "order")]
    account: Option<AccountName>,
    /// Only those that name this key
    #[arg(long, value_name = "SHA256:…", conflicts_with_all = ["order", "account"])]
    key: Option<KeyFingerprint>,
    #[command(flatten)]
    at: Where,
}

/// The evidence this host keeps, checked as a chain: what was ordered, changed and seen
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rescind-agent evidence --last 20\n  \
                        rescind-agent evidence --account alice\n  \
                        rescind-agent evidence --json > evidence.json\n\n\
                        Records of some orders only are checked each by itself, not as a chain.\n\n\
                        Exit status: 0 the chain is whole, 3 it is not.")]
pub struct Evidence {
    /// Only so many of the latest records
    #[arg(long, value_name = "N", default_value_t = 100)]
    last: u64,
    /// Only records about this order
    #[arg(long, value_name = "ORDER")]
    order: Option<OrderId>,
    /// Only records about orders that name this account
    #[arg(long, value_name = "NAME", conflicts_with = "order")]
    account: Option<AccountName>,
    /// Only records about orders that name this key
    #[arg(long, value_name = "SHA256:…", conflicts_with_all = ["order", "account"])]
    key: Option<KeyFingerprint>,
    #[command(flatten)]
    at: Where,
}

impl Orders {
    /// Runs the command.
    pub fn run(self) -> Exit {
        let root = self.at.root();
        let one = self.order;
        let answer = match one {
            Some(id) => history::order(root, id),
            None => history::orders(root, question(None, self.account, self.key).as_ref()),
        };
        show(&self.at, answer, |answer| match one {
            Some(_) => print_history(answer),
            None => print_orders(answer),
        })
    }
}

impl Evidence {
    /// Runs the command.
    pub fn run(self) -> Exit {
        let root = self.at.root();
        let some = question(self.order, self.account, self.key);
        let answer = match &some {
            Some(question) => history::evidence_about(root, question, self.last),
            None => history::evidence(root, self.last),
        };
        show(&self.at, answer, |answer| {
            let mut table = Table::new(&["record", "at", "event", "order", "detail"]);
            for record in answer["records"].as_array().into_iter().flatten() {
                table.row(&["record", "at", "event", "order", "detail"].map(|k| text(&record[k])));
            }
            table.print();
            println!("evidence key {}", text(&answer["evidence_key"]));
            let checked = &answer["checked"];
            match (&answer["broken"], &some) {
                (Value::Null, None) => println!("{checked} records checked, the chain is whole"),
                (Value::Null, Some(about)) => {
                    println!("{checked} records about {about}, each signed by this host");
                }
                (broken, _) => eprintln!("rescind-agent: {}", text(broken)),
            }
        })
    }
}

fn question(
    order: Option<OrderId>,
    account: Option<AccountName>,
    key: Option<KeyFingerprint>,
) -> Option<Question> {
    let account = account.map(Question::Account);
    let key = key.map(Question::Key);
    order.map(Question::Order).or(account).or(key)
}

fn show(at: &Where, answer: Result<Value, EngineError>, print: impl FnOnce(&Value)) -> Exit {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Exit::Unavailable.because(error),
    };
    match at.json {
        true => println!("{answer}"),
        false => print(&answer),
    }
    match &answer["broken"] {
        Value::Null => Exit::Ok,
        _ => Exit::OtherOutcome,
    }
}

fn print_orders(orders: &Value) {
    let mut table = Table::new(&["order", "action", "subject", "state", "asked by", "ticket"]);
    for order in orders.as_array().into_iter().flatten() {
        table.row(
            &["order", "action", "subject", "state", "asked_by", "ticket"].map(|k| text(&order[k])),
        );
    }
    table.print();
}

fn print_history(order: &Value) {
    println!(
        "{} {} {}",
        text(&order["order"]),
        text(&order["action"]),
        text(&order["subject"])
    );
    println!(
        "asked by {}, ticket {}: {}",
        text(&order["asked_by"]),
        text(&order["ticket"]),
        text(&order["reason"])
    );
    let mut table = Table::new(&["when", "what", "detail"]);
    for event in order["history"].as_array().into_iter().flatten() {
        table.row(&["at", "event", "detail"].map(|k| text(&event[k])));
    }
    table.print();
}

//! What the parts of a running control plane share, and how orders are given.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use rescind_protocol::name::{HostId, OrderId};
use rescind_protocol::order::{Action, Authority, BadAuthority};
use rescind_protocol::sign::SigningKey;
use tokio::sync::{Semaphore, broadcast};

use crate::agents::admission::Bucket;
use crate::agents::presence::Presence;
use crate::ca::Ca;
use crate::clock;
use crate::config::Config;
use crate::db::audit::{self, Operator};
use crate::db::issuing::{self, NewOrder};
use crate::db::orders::{self, State};
use crate::db::{Database, DbError};

/// Changes that may wait for a slow follower; who falls behind reads the timeline again.
const CHANGES_KEPT: usize = 1024;
/// Bytes of sections held at once, by all connections; each byte is held twice for a moment.
const SECTION_ROOM_BYTES: usize = 64 << 20;
/// Sections checked and written at once.
const SECTION_WRITES: usize = 2;
/// Orders signed in one transaction.
const ORDERS_PER_COMMIT: usize = 500;

/// A running control plane.
pub struct Plane {
    /// The settings.
    pub config: Config,
    /// The database.
    pub db: Arc<Database>,
    /// Who may talk.
    pub ca: Ca,
    /// Who may command.
    pub order_key: Arc<SigningKey>,
    /// The name in the server's certificate that hosts check.
    pub server_name: String,
    /// Who is connected.
    pub presence: Presence,
    /// The ids of orders whose timeline changed.
    pub changes: broadcast::Sender<OrderId>,
    /// New connections.
    pub accepts: Bucket,
    /// Enrolments.
    pub enrolments: Bucket,
    /// Bytes of sections that all connections together may hold.
    pub section_room: Arc<Semaphore>,
    /// Sections that are checked and written at once.
    pub section_writes: Semaphore,
    /// What came of hosts' surveys since the start.
    pub sections: SectionCounts,
}

/// Pieces of sections that came, and what became of sections.
#[derive(Debug, Default)]
pub struct SectionCounts {
    /// Pieces.
    pub pieces: AtomicU64,
    /// Sections that are kept.
    pub kept: AtomicU64,
    /// Sections that are not.
    pub refused: AtomicU64,
}

/// Why an order was not given.
#[derive(Debug, thiserror::Error)]
pub enum NotGiven {
    /// Who, why or the ticket is missing.
    #[error(transparent)]
    Authority(#[from] BadAuthority),
    /// There is no such host.
    #[error("no host {0} is enrolled")]
    NoHost(String),
    /// No order of that id for that host.
    #[error("no order {0} is known for this host")]
    NoOrder(OrderId),
    /// The order to be released is not one that stays in force.
    #[error("order {0} is not a standing order: there is nothing to release")]
    NotStanding(OrderId),
    /// It was released before.
    #[error("order {0} is released already")]
    Released(OrderId),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Plane {
    /// Puts the parts together.
    pub fn new(config: Config, db: Arc<Database>, ca: Ca, order_key: SigningKey) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            server_name: config.server_names().swap_remove(0),
            accepts: Bucket::new(config.accept_per_s, now),
            enrolments: Bucket::new(config.enrol_per_s, now),
            presence: Presence::default(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            order_key: Arc::new(order_key),
            config,
            db,
            ca,
            section_room: Arc::new(Semaphore::new(SECTION_ROOM_BYTES)),
            section_writes: Semaphore::new(SECTION_WRITES),
            sections: SectionCounts::default(),
        })
    }

    /// How long the host may take to take an order, in milliseconds.
    pub const fn order_ttl_ms(&self) -> u64 {
        self.config.order_ttl_days * 86_400_000
    }

    /// Signs the same action for some hosts, keeps the orders, and wakes those that are connected.
    /// The answer is durable.
    pub async fn give(
        &self,
        hosts: Vec<HostId>,
        action: Action,
        authority: Authority,
        operator: Operator,
    ) -> Result<Vec<OrderId>, NotGiven> {
        authority.check()?;
        let mut given = Vec::with_capacity(hosts.len());
        for group in hosts.chunks(ORDERS_PER_COMMIT) {
            given.extend(
                self.give_group(group, &action, &authority, &operator)
                    .await?,
            );
        }
        Ok(given)
    }

    async fn give_group(
        &self,
        hosts: &[HostId],
        action: &Action,
        authority: &Authority,
        operator: &Operator,
    ) -> Result<Vec<OrderId>, NotGiven> {
        let (key, ttl_ms) = (self.order_key.clone(), self.order_ttl_ms());
        let (hosts, action) = (hosts.to_vec(), action.clone());
        let (authority, operator) = (authority.clone(), operator.clone());
        let woken = hosts.clone();
        let given = self
            .db
            .write(move |conn| {
                let now = clock::now_us();
                let mut given = Vec::with_capacity(hosts.len());
                for host in hosts {
                    let new = NewOrder {
                        host,
                        action: releasable(conn, host, &action)?,
                        authority: authority.clone(),
                        operator: format!("{} ({})", operator.name, operator.via),
                        ttl_ms,
                    };
                    let id = issuing::issue(conn, &key, new, now)?;
                    let detail = format!("{id} for host {host}, ticket {}", authority.ticket);
                    audit::record(conn, &operator, action.name(), &detail, now.millis())?;
                    given.push(id);
                }
                Ok::<_, NotGiven>(given)
            })
            .await?;
        woken.into_iter().for_each(|host| self.presence.wake(host));
        given.iter().for_each(|id| self.changed(*id));
        Ok(given)
    }

    /// Tells followers that an order's timeline changed.
    pub fn changed(&self, order: OrderId) {
        // Nobody follows: nothing to tell.
        let _ = self.changes.send(order);
    }

    /// How far to spread those who are told to come back later.
    pub fn retry_spread(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// A release is addressed to the order that is in force now: one that was issued again after the
/// host lost its store has another id than the operator knows.
fn releasable(
    conn: &rusqlite::Connection,
    host: HostId,
    action: &Action,
) -> Result<Action, NotGiven> {
    let Action::Release { order } = action else {
        return Ok(action.clone());
    };
    let mut id = *order;
    loop {
        let row = orders::by_id(conn, id)?
            .filter(|row| row.host == host)
            .ok_or(NotGiven::NoOrder(id))?;
        match (row.superseded_by, row.state) {
            (Some(next), State::Superseded) => id = next,
            (_, State::Released) => return Err(NotGiven::Released(id)),
            _ if !row.action.is_standing() => return Err(NotGiven::NotStanding(id)),
            _ => return Ok(Action::Release { order: id }),
        }
    }
}

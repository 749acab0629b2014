//! Who is connected, and their mailboxes.
//!
//! A mailbox holds hints, never orders: an order is in the database before anybody is woken, and
//! what a connection sends is what it finds there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rescind_protocol::message::{InventoryAck, Question};
use rescind_protocol::name::{HostId, UnixMillis};
use tokio::sync::{Notify, oneshot};

/// Questions that may be open with one host.
pub const QUESTIONS_MAX: usize = 8;
/// Boot ids remembered per host.
const BOOTS_MAX: usize = 4;

/// All connected hosts.
#[derive(Debug, Default)]
pub struct Presence {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connected: HashMap<HostId, Arc<Slot>>,
    /// The boots that were seen, oldest first. A boot that was followed by another one never comes
    /// back; where it does, two machines speak as one host.
    boots: HashMap<HostId, Vec<Box<str>>>,
    /// Bytes of sections that hosts sent beyond what they may all the time, and when they did.
    /// Only those who did lately are in it.
    sent: HashMap<HostId, (usize, Instant)>,
}

/// Bytes of sections that a host may send at once: twice the largest survey there is need for.
const SECTIONS_AT_ONCE: usize = 128 << 20;
/// And all the time, in a second.
const SECTIONS_PER_S: usize = 256 << 10;
/// Hosts whose bytes are remembered, before those who have sent nothing lately are forgotten.
const SENT_HOSTS_MAX: usize = 4096;

/// A connected host.
#[derive(Debug)]
pub struct Slot {
    /// From where.
    pub peer: SocketAddr,
    /// Since when.
    pub since: UnixMillis,
    /// Its kernel's boot id.
    pub boot_id: Box<str>,
    heard: AtomicU64,
    mailbox: Mutex<Mailbox>,
    notify: Notify,
}

/// What a connection should see to.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// There may be new orders.
    pub orders: bool,
    /// Questions to ask.
    pub questions: Vec<Asked>,
    /// What became of sections that came over this connection.
    pub sections: Vec<InventoryAck>,
    /// It should end.
    pub close: Option<Close>,
}

/// A question and who waits for its answer.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    /// Where the answer goes: JSON, or why there is none.
    pub reply: oneshot::Sender<Result<Vec<u8>, String>>,
}

/// Why a connection should end.
#[derive(Debug, Clone)]
pub enum Close {
    /// The host was removed or enrolled again, or must say hello again.
    Changed,
    /// The same host has connected again.
    Replaced {
        /// From where.
        peer: SocketAddr,
        /// In which boot.
        boot_id: Box<str>,
    },
    /// The server stops.
    Shutdown,
}

/// Why a question was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// The host is not connected.
    #[error("the host is not connected")]
    Away,
    /// Too many questions are open.
    #[error("the host has {QUESTIONS_MAX} questions to answer already; try again")]
    Busy,
}

impl Slot {
    /// A new one.
    pub fn new(peer: SocketAddr, boot_id: &str, now: UnixMillis) -> Arc<Self> {
        Arc::new(Self {
            peer,
            since: now,
            boot_id: boot_id.into(),
            heard: AtomicU64::new(now.0),
            mailbox: Mutex::default(),
            notify: Notify::new(),
        })
    }

    /// When something last came from it.
    pub fn heard(&self) -> UnixMillis {
        UnixMillis(self.heard.load(Ordering::Relaxed))
    }

    /// Something came from it.
    pub fn hear(&self, now: UnixMillis) {
        self.heard.store(now.0, Ordering::Relaxed);
    }

    /// Waits until something is in the mailbox. Dropping the future loses nothing.
    pub async fn mail(&self) {
        self.notify.notified().await;
    }

    /// Takes what is in the mailbox.
    pub fn take(&self) -> Mailbox {
        std::mem::take(&mut *self.mailbox())
    }

    fn mailbox(&self) -> std::sync::MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the connection say what became of a section.
    pub fn answer_section(&self, answer: InventoryAck) {
        self.mailbox().sections.push(answer);
        self.notify.notify_one();
    }

    fn close(&self, why: Close) {
        self.mailbox().close.get_or_insert(why);
        self.notify.notify_one();
    }
}

/// What [`Presence::enter`] noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Entered {
    /// Nothing unusual.
    Plainly,
    /// This boot was there before, and another one in between.
    BootCameBack,
}

impl Presence {
    /// A host is connected from now on. The newest connection is the one that gets orders; the
    /// one before it is told to end.
    pub fn enter(&self, host: HostId, slot: &Arc<Slot>) -> Entered {
        let mut state = self.state();
        let old = state.connected.insert(host, slot.clone());
        let boots = state.boots.entry(host).or_default();
        let known = boots.iter().position(|boot| *boot == slot.boot_id);
        let entered = match known {
            Some(at) if at + 1 < boots.len() => Entered::BootCameBack,
            _ => Entered::Plainly,
        };
        if let Some(at) = known {
            boots.remove(at);
        } else if boots.len() == BOOTS_MAX {
            boots.remove(0);
        }
        boots.push(slot.boot_id.clone());
        drop(state);
        if let Some(old) = old {
            old.close(Close::Replaced {
                peer: slot.peer,
                boot_id: slot.boot_id.clone(),
            });
        }
        entered
    }

    /// A connection has ended. Another one of the same host stays.
    pub fn leave(&self, host: HostId, slot: &Arc<Slot>) {
        let mut state = self.state();
        if state
            .connected
            .get(&host)
            .is_some_and(|now| Arc::ptr_eq(now, slot))
        {
            state.connected.remove(&host);
        }
    }

    /// The connection of a host.
    pub fn of(&self, host: HostId) -> Option<Arc<Slot>> {
        self.state().connected.get(&host).cloned()
    }

    /// How many are connected.
    pub fn count(&self) -> usize {
        self.state().connected.len()
    }

    /// There are new orders for a host.
    pub fn wake(&self, host: HostId) {
        if let Some(slot) = self.of(host) {
            slot.mailbox().orders = true;
            slot.notify.notify_one();
        }
    }

    /// Asks a connected host; the answer comes by `asked.reply`.
    pub fn ask(&self, host: HostId, asked: Asked) -> Result<(), NotAsked> {
        let slot = self.of(host).ok_or(NotAsked::Away)?;
        let mut mailbox = slot.mailbox();
        if mailbox.questions.len() >= QUESTIONS_MAX {
            return Err(NotAsked::Busy);
        }
        mailbox.questions.push(asked);
        drop(mailbox);
        slot.notify.notify_one();
        Ok(())
    }

    /// Whether a host may send so many bytes of its survey more.
    pub fn may_send(&self, host: HostId, bytes: usize) -> bool {
        let now = Instant::now();
        let left = |(sent, at): (usize, Instant)| {
            let since = now.saturating_duration_since(at).as_secs_f64();
            sent.saturating_sub((since * SECTIONS_PER_S as f64) as usize)
        };
        let mut state = self.state();
        if state.sent.len() >= SENT_HOSTS_MAX {
            state.sent.retain(|_, sent| left(*sent) > 0);
        }
        let before = state.sent.get(&host).map_or(0, |sent| left(*sent));
        let may = before + bytes <= SECTIONS_AT_ONCE;
        if may {
            state.sent.insert(host, (before + bytes, now));
        }
        may
    }

    /// Ends a host's connection.
    pub fn close(&self, host: HostId) {
        if let Some(slot) = self.of(host) {
            slot.close(Close::Changed);
        }
    }

    /// Ends all connections.
    pub fn close_all(&self) {
        let slots: Vec<Arc<Slot>> = self.state().connected.values().cloned().collect();
        slots.iter().for_each(|slot| slot.close(Close::Shutdown));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_connection_counts_and_a_boot_that_comes_back_shows() {
        let presence = Presence::default();
        let host = HostId::from_bytes([1; 16]);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let slot = |boot| Slot::new(peer, boot, UnixMillis(0));
        let (a, b, again) = (slot("a"), slot("b"), slot("a"));
        assert_eq!(presence.enter(host, &a), Entered::Plainly);
        assert_eq!(presence.enter(host, &b), Entered::Plainly);
        assert!(matches!(a.take().close, Some(Close::Replaced { .. })));
        presence.leave(host, &a);
        assert!(Arc::ptr_eq(&presence.of(host).unwrap(), &b));
        assert_eq!(presence.enter(host, &again), Entered::BootCameBack);
        assert_eq!(presence.enter(host, &slot("a")), Entered::Plainly);
        presence.wake(host);
        assert!(presence.of(host).unwrap().take().orders);
        assert!(presence.may_send(host, SECTIONS_AT_ONCE));
        assert!(!presence.may_send(host, SECTIONS_PER_S));
        assert!(presence.may_send(HostId::from_bytes([2; 16]), 1));
        assert_eq!(presence.count(), 1);
    }
}

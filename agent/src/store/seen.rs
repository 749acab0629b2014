#![forbid(unsafe_code)]
//! Which orders were seen before, so that one order has one effect.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use rescind_protocol::name::OrderId;

/// The most stretches of sequence numbers kept above the cursor. More holes than this no honest
/// signer leaves.
const STRETCHES_MAX: usize = 4096;
/// The most order ids kept to tell a duplicate from a replay; the oldest go first.
const IDS_MAX: usize = 8192;

/// What is known about an order's sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Sight {
    /// Never used.
    New,
    /// This very order was here before.
    Duplicate,
    /// The number, or the id, was used by another order; or so long ago that it cannot be told.
    Replayed,
    /// Too many holes in the sequence to remember one more.
    NoRoom,
}

/// The sequence numbers used so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Seen {
    /// Every number up to and including this one was used.
    #[n(0)]
    cursor: u64,
    /// Used numbers above the cursor: first and last of each stretch, not touching each other.
    #[n(1)]
    above: BTreeMap<u64, u64>,
    /// Who used the latest of them.
    #[n(2)]
    ids: BTreeMap<u64, OrderId>,
}

impl Seen {
    /// Every number up to and including this one was used.
    pub const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether an order is new.
    pub fn look(&self, seq: u64, id: OrderId) -> Sight {
        match self.ids.get(&seq) {
            Some(user) if *user == id => return Sight::Duplicate,
            Some(_) => return Sight::Replayed,
            None => {}
        }
        if self.used(seq) || self.ids.values().any(|user| *user == id) {
            return Sight::Replayed;
        }
        let touches =
            seq == self.cursor + 1 || self.used(seq - 1) || self.used(seq.saturating_add(1));
        match self.above.len() < STRETCHES_MAX || touches {
            true => Sight::New,
            false => Sight::NoRoom,
        }
    }

    /// Marks a number as used.
    pub fn mark(&mut self, seq: u64, id: Option<OrderId>) {
        if let Some(id) = id {
            self.ids.entry(seq).or_insert(id);
            while self.ids.len() > IDS_MAX {
                self.ids.pop_first();
            }
        }
        if self.used(seq) {
            return;
        }
        let (mut first, mut last) = (seq, seq);
        if let Some((&before, &end)) = self.above.range(..seq).next_back()
            && end + 1 == seq
        {
            first = before;
        }
        if let Some(end) = seq.checked_add(1).and_then(|next| self.above.remove(&next)) {
            last = end;
        }
        self.above.insert(first, last);
        while let Some(end) = self.above.remove(&(self.cursor + 1)) {
            self.cursor = end;
        }
    }

    fn used(&self, seq: u64) -> bool {
        // Sequence numbers begin at 1: 0 is used by nobody and so by everybody.
        seq <= self.cursor
            || seq == u64::MAX
            || self
                .above
                .range(..=seq)
                .next_back()
                .is_some_and(|(_, last)| seq <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> OrderId {
        OrderId::from_bytes(u128::from(n).to_be_bytes())
    }

    #[test]
    fn the_cursor_moves_over_what_is_whole_and_holes_stay_open() {
        let mut seen = Seen::default();
        let mut trace = String::new();
        for seq in [2, 3, 7, 6, 1, 5, 4, 9, 8, 4] {
            let sight = seen.look(seq, id(seq));
            seen.mark(seq, Some(id(seq)));
            trace += &format!("{seq}:{sight:?}:{} ", seen.cursor());
        }
        assert_eq!(
            trace,
            "2:New:0 3:New:0 7:New:0 6:New:0 1:New:3 5:New:3 4:New:7 9:New:7 8:New:9 4:Duplicate:9 "
        );
        assert!(seen.above.is_empty());
    }

    #[test]
    fn another_order_under_a_used_number_or_a_used_id_is_a_replay() {
        let mut seen = Seen::default();
        seen.mark(1, Some(id(1)));
        seen.mark(5, None);
        assert_eq!(seen.look(1, id(1)), Sight::Duplicate);
        assert_eq!(seen.look(1, id(2)), Sight::Replayed);
        assert_eq!(seen.look(2, id(1)), Sight::Replayed);
        assert_eq!(seen.look(5, id(5)), Sight::Replayed);
        assert_eq!(seen.look(0, id(9)), Sight::Replayed);
        assert_eq!(seen.look(u64::MAX, id(9)), Sight::Replayed);
        assert_eq!(seen.look(2, id(2)), Sight::New);
    }

    #[test]
    fn memory_stays_bounded_whatever_the_signer_does() {
        let mut seen = Seen::default();
        let mut seq = 2;
        while seen.look(seq, id(seq)) == Sight::New {
            seen.mark(seq, Some(id(seq)));
            seq += 2;
        }
        assert_eq!(seen.look(seq, id(seq)), Sight::NoRoom);
        assert_eq!(seen.above.len(), STRETCHES_MAX);
        assert_eq!(
            seen.look(3, id(3)),
            Sight::New,
            "a hole can still be closed"
        );

        let mut seen = Seen::default();
        (1..20_000).for_each(|seq| seen.mark(seq, Some(id(seq))));
        assert_eq!(seen.ids.len(), IDS_MAX);
        assert_eq!(seen.look(1, id(1)), Sight::Replayed, "too long ago to tell");
    }
}

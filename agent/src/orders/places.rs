//! What orders in force have taken out of files, place by place, so that each gives back to its own
//! place whatever the others still hold.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::lock::AccountFile;
use crate::host::membership::{List, ListChange};
use crate::host::slots::slots_of;
use crate::orders::kept::{Kept, KeptMembers};
use crate::orders::plan::{Change, Plan};

/// A sequence from which orders take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The lines of a key file.
    Keys(Vec<u8>),
    /// A list of a line of an account file.
    List(AccountFile, Vec<u8>, u32, bool),
}

impl Place {
    fn of_list(members: &KeptMembers, change: &ListChange) -> Self {
        let (group, is_members) = (change.group.clone(), change.list == List::Members);
        Self::List(members.file, group, change.nth, is_members)
    }
}

/// The slots that are taken.
#[derive(Debug, Default)]
pub struct Places {
    taken: BTreeMap<Place, BTreeSet<u32>>,
}

impl Places {
    /// Takes in what an order took.
    pub fn add(&mut self, kept: &Kept) {
        for keys in &kept.keys {
            let slots = keys.lines.iter().map(|line| line.slot);
            let place = Place::Keys(keys.path.clone());
            self.taken.entry(place).or_default().extend(slots);
        }
        for members in &kept.members {
            for change in &members.changes {
                let place = Place::of_list(members, change);
                self.taken.entry(place).or_default().extend(&change.slots);
            }
        }
    }

    /// Gives what a plan takes its slots: it knows only what is there. `own` is what the same order
    /// took: what it recorded and then did not take has its slots already.
    pub fn assign(&self, plan: &mut Plan, own: &Kept) {
        for change in &mut plan.changes {
            match change {
                Change::RemoveKeys(keys) => {
                    let Some(taken) = self.taken.get(&Place::Keys(keys.path.clone())) else {
                        continue;
                    };
                    let mut taken = taken.clone();
                    let recorded = own.keys.iter().filter(|own| own.path == keys.path);
                    for own in recorded.flat_map(|own| &own.lines) {
                        if keys.lines.iter().any(|line| line.is_same(own)) {
                            taken.remove(&own.slot);
                        }
                    }
                    let taken = &taken;
                    let slots = slots_of(keys.lines.iter().map(|line| line.line), taken);
                    for (line, slot) in keys.lines.iter_mut().zip(slots) {
                        line.slot = slot;
                    }
                    keys.total = keys.total.saturating_add(taken.len() as u32);
                }
                Change::LeaveGroup(members) => {
                    for nth in 0..members.changes.len() {
                        let place = Place::of_list(members, &members.changes[nth]);
                        let Some(taken) = self.taken.get(&place) else {
                            continue;
                        };
                        let mut taken = taken.clone();
                        let change = &mut members.changes[nth];
                        let recorded = own.members.iter().flat_map(|own| &own.changes);
                        for own in recorded.filter(|own| own.is_same_edit(change)) {
                            own.slots.iter().for_each(|slot| {
                                taken.remove(slot);
                            });
                        }
                        change.slots = slots_of(change.slots.iter().copied(), &taken);
                        change.total = change.total.saturating_add(taken.len() as u32);
                    }
                }
                _ => {}
            }
        }
    }

    /// Tells what a plan gives back which slots beside it are still taken.
    pub fn tell(&self, plan: &mut Plan) {
        let still = |place: &Place, back: &mut dyn Iterator<Item = u32>| {
            let mut taken = self.taken.get(place).cloned().unwrap_or_default();
            back.for_each(|slot| {
                taken.remove(&slot);
            });
            taken
        };
        for change in &mut plan.changes {
            match change {
                Change::RestoreKeys(keys) => {
                    let place = Place::Keys(keys.path.clone());
                    keys.still = still(&place, &mut keys.lines.iter().map(|line| line.slot));
                }
                Change::RestoreMembers(members) => {
                    for nth in 0..members.changes.len() {
                        let place = Place::of_list(members, &members.changes[nth]);
                        let change = &mut members.changes[nth];
                        change.still = still(&place, &mut change.slots.iter().copied());
                    }
                }
                _ => {}
            }
        }
    }
}

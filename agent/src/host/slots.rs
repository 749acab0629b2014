//! Places in a sequence from which several take, and to which each gives back what it took: lines of a
//! file, names of a list. Pure.
//!
//! A slot is a place, from 1, in the sequence as it would be had nobody taken anything. What is there
//! fills the slots that are not taken, in order; so each can give back in any order, and all of it is
//! as it was.

use std::collections::BTreeSet;

/// The slots of these positions, from 1 and rising, in a sequence from which `taken` was taken.
pub fn slots_of(positions: impl IntoIterator<Item = u32>, taken: &BTreeSet<u32>) -> Vec<u32> {
    let mut taken = taken.iter().peekable();
    let mut before = 0;
    let slot = |position: u32| {
        while taken.next_if(|slot| **slot <= position + before).is_some() {
            before += 1;
        }
        position + before
    };
    positions.into_iter().map(slot).collect()
}

/// A sequence with `back` at its slots, where `still` are taken; `None` where it is not the sequence
/// that was taken from, which had `total` slots.
pub fn put_back<T: Copy>(
    current: impl ExactSizeIterator<Item = T>,
    back: impl IntoIterator<Item = (u32, T)>,
    still: &BTreeSet<u32>,
    total: u32,
) -> Option<Vec<T>> {
    let mut back: Vec<(u32, T)> = back.into_iter().collect();
    back.sort_by_key(|(slot, _)| *slot);
    if current.len() + back.len() + still.len() != total as usize {
        return None;
    }
    let (mut current, mut back) = (current, back.into_iter().peekable());
    let mut whole = Vec::with_capacity(total as usize - still.len());
    for slot in 1..=total {
        match back.next_if(|(its, _)| *its == slot) {
            Some((_, one)) => whole.push(one),
            None if still.contains(&slot) => {}
            None => whole.push(current.next()?),
        }
    }
    // Slots that are not of this sequence would be left.
    (back.next().is_none() && current.next().is_none()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn whatever_the_order_in_which_it_is_taken_and_given_back() {
        let mut random = Random::new(7);
        for _ in 0..2000 {
            let all: Vec<u32> = (0..random.below(8) as u32).collect();
            let total = all.len() as u32;
            let mut current = all.clone();
            let mut takers: Vec<Vec<(u32, u32)>> = Vec::new();
            let taken = |takers: &[Vec<(u32, u32)>]| -> BTreeSet<u32> {
                takers.iter().flatten().map(|(slot, _)| *slot).collect()
            };
            for _ in 0..4 {
                let wanted = |random: &mut Random| random.below(3) == 0;
                let positions: Vec<u32> = (1..=current.len() as u32)
                    .filter(|_| wanted(&mut random))
                    .collect();
                let slots = slots_of(positions.iter().copied(), &taken(&takers));
                let values = positions.iter().map(|at| current[*at as usize - 1]);
                takers.push(slots.into_iter().zip(values).collect());
                let mut at = 0;
                current.retain(|_| {
                    at += 1;
                    !positions.contains(&at)
                });
            }
            while !takers.is_empty() {
                let back = takers.swap_remove(random.below(takers.len()));
                let still = taken(&takers);
                current = put_back(current.into_iter(), back, &still, total).unwrap();
            }
            assert_eq!(current, all);
        }
    }

    #[test]
    fn another_sequence_is_told() {
        let still = BTreeSet::from([2]);
        let back =
            |current: &[char], total| put_back(current.iter().copied(), [(1, 'a')], &still, total);
        assert_eq!(back(&['c'], 3), Some(vec!['a', 'c']));
        assert_eq!(back(&['c', 'd'], 3), None);
        assert_eq!(back(&[], 3), None);
        assert_eq!(
            put_back([].into_iter(), [(9, 'a')], &BTreeSet::new(), 1),
            None
        );
    }
}

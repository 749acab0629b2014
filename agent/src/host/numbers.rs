//! Where uids and gids stand in an account file, for those who ask for many.
#![forbid(unsafe_code)]

/// Numbers of a file's entries, each with the line of its entry.
///
/// Eight bytes for each entry, found by halving: a pass over all accounts may ask for each.
#[derive(Debug)]
pub struct Numbers(Vec<(u32, u32)>);

impl Numbers {
    /// From numbers and their lines, in any order.
    pub fn new(entries: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut all: Vec<(u32, u32)> = entries.collect();
        all.sort_unstable();
        all.shrink_to_fit();
        Self(all)
    }

    /// The lines of a number, in the order of the file.
    pub fn lines(&self, number: u32) -> impl ExactSizeIterator<Item = u32> {
        let from = self.0.partition_point(|(known, _)| *known < number);
        let rest = &self.0[from..];
        let count = rest.partition_point(|(known, _)| *known == number);
        rest[..count].iter().map(|(_, line)| *line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_number_in_their_order() {
        let entries = [(0, 1), (7, 2), (1000, 3), (0, 9), (u32::MAX, 4), (7, 5)];
        let numbers = Numbers::new(entries.into_iter());
        for (number, lines) in [
            (0, &[1, 9][..]),
            (1, &[]),
            (7, &[2, 5]),
            (1000, &[3]),
            (1001, &[]),
            (u32::MAX, &[4]),
        ] {
            assert_eq!(numbers.lines(number).collect::<Vec<_>>(), lines, "{number}");
        }
        assert_eq!(Numbers::new(std::iter::empty()).lines(0).len(), 0);
    }
}

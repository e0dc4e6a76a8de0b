//! Combinations of values: all of them, or so few that every pair of values still meets.
//!
//! Most mistakes that depend on circumstances depend on one or two of them. A set of combinations in which every value of
//! every parameter meets every value of every other finds these, and is far smaller than the whole product.
//!
//! A combination is one index a parameter; `sizes` says how many values each parameter has.

use std::collections::BTreeSet;

/// Two values of two parameters; the same one twice for a value by itself.
type Pair = [(usize, usize); 2];

/// Every combination that is allowed, in order: the last parameter changes fastest.
pub fn product(sizes: &[usize], allowed: impl Fn(&[usize]) -> bool) -> Vec<Vec<usize>> {
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for size in sizes {
        rows = rows
            .iter()
            .flat_map(|row| {
                (0..*size).map(move |value| {
                    let mut longer = row.clone();
                    longer.push(value);
                    longer
                })
            })
            .collect();
    }
    rows.retain(|row| allowed(row));
    rows
}

/// Combinations in which every pair of values that any allowed combination has occurs at least once; those of
/// [`product`], in the same order, but fewer.
///
/// Greedy: always the combination next that brings the most new pairs, of several the first. So the same parameters give
/// the same combinations everywhere and for ever. What is brought again by later ones is taken out in the end.
pub fn pairwise(sizes: &[usize], allowed: impl Fn(&[usize]) -> bool) -> Vec<Vec<usize>> {
    if sizes.len() < 2 {
        return product(sizes, allowed);
    }
    let mut left: Vec<(Vec<usize>, Vec<Pair>)> = product(sizes, allowed)
        .into_iter()
        .map(|row| {
            let pairs = pairs(&row);
            (row, pairs)
        })
        .collect();
    let mut missing: BTreeSet<Pair> = left.iter().flat_map(|(_, pairs)| pairs).copied().collect();
    let mut chosen: Vec<(Vec<usize>, Vec<Pair>)> = Vec::new();
    while !missing.is_empty() {
        for (_, pairs) in &mut left {
            pairs.retain(|pair| missing.contains(pair));
        }
        left.retain(|(_, pairs)| !pairs.is_empty());
        let most = left.iter().map(|(_, pairs)| pairs.len()).max().unwrap_or(0);
        let Some(at) = left.iter().position(|(_, pairs)| pairs.len() == most) else {
            break;
        };
        let (row, new) = left.remove(at);
        for pair in &new {
            missing.remove(pair);
        }
        let all = pairs(&row);
        chosen.push((row, all));
    }
    let mut index = chosen.len();
    while index > 0 {
        index -= 1;
        let others: BTreeSet<Pair> = chosen
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != index)
            .flat_map(|(_, (_, pairs))| pairs)
            .copied()
            .collect();
        let needless = chosen
            .get(index)
            .is_some_and(|(_, pairs)| pairs.iter().all(|pair| others.contains(pair)));
        if needless {
            chosen.remove(index);
        }
    }
    let mut rows: Vec<Vec<usize>> = chosen.into_iter().map(|(row, _)| row).collect();
    rows.sort();
    rows
}

fn pairs(row: &[usize]) -> Vec<Pair> {
    let values: Vec<(usize, usize)> = row.iter().copied().enumerate().collect();
    let mut pairs = Vec::new();
    for (at, one) in values.iter().enumerate() {
        // A value by itself counts too, so that of two combinations the one comes first that has new values.
        for other in values.iter().skip(at) {
            pairs.push([*one, *other]);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(&[], 1)]
    #[case(&[4], 4)]
    #[case(&[3, 2], 6)]
    // One Latin square.
    #[case(&[3, 3, 3], 9)]
    // Four of eight.
    #[case(&[2, 2, 2], 4)]
    // Every profile with both versions, and the third goes along.
    #[case(&[9, 2, 2], 18)]
    fn how_many(#[case] sizes: &[usize], #[case] want: usize) {
        assert_eq!(pairwise(sizes, |_| true).len(), want);
    }

    #[test]
    fn ten_parameters_stay_few() {
        assert!(pairwise(&[2; 10], |_| true).len() <= 10);
    }

    #[test]
    fn a_forbidden_pair_never_meets_and_takes_no_other_with_it() {
        let rows = pairwise(&[3, 2, 2], |row| !(row[0] == 2 && row[1] == 1));
        assert!(rows.iter().all(|row| !(row[0] == 2 && row[1] == 1)));
        assert!(rows.iter().any(|row| row[0] == 2 && row[2] == 0));
        assert!(rows.iter().any(|row| row[0] == 2 && row[2] == 1));
    }

    /// Sizes, and combinations that are forbidden, each by the values of two parameters.
    fn parameters() -> impl Strategy<Value = (Vec<usize>, Vec<Pair>)> {
        let sizes = prop::collection::vec(1..5_usize, 1..5);
        let value = || (0..4_usize, 0..4_usize);
        let forbidden = prop::collection::vec((value(), value()), 0..4);
        (sizes, forbidden).prop_map(|(sizes, forbidden)| {
            let forbidden = forbidden.into_iter().map(|(a, b)| [a, b]).collect();
            (sizes, forbidden)
        })
    }

    fn allowed(forbidden: &[Pair], row: &[usize]) -> bool {
        !forbidden.iter().any(|pair| {
            pair.iter()
                .all(|(parameter, value)| row.get(*parameter) == Some(value))
        })
    }

    proptest! {
        #[test]
        fn every_pair_that_can_meet_does((sizes, forbidden) in parameters()) {
            let all = product(&sizes, |row| allowed(&forbidden, row));
            let few = pairwise(&sizes, |row| allowed(&forbidden, row));
            prop_assert!(few.len() <= all.len());
            for row in &few {
                prop_assert!(all.contains(row));
            }
            // Looked for the plain way, not by the pairs of the code above.
            for row in &all {
                for (a, one) in row.iter().enumerate() {
                    for (b, other) in row.iter().enumerate() {
                        let met = few.iter().any(|row| row[a] == *one && row[b] == *other);
                        prop_assert!(met, "{}={} never meets {}={} in {:?}", a, one, b, other, few);
                    }
                }
            }
        }

        #[test]
        fn the_same_parameters_give_the_same((sizes, forbidden) in parameters()) {
            let once = pairwise(&sizes, |row| allowed(&forbidden, row));
            let again = pairwise(&sizes, |row| allowed(&forbidden, row));
            prop_assert_eq!(&once, &again);
            let mut sorted = once.clone();
            sorted.sort();
            prop_assert_eq!(once, sorted);
        }

        /// Fewer than this cannot be: the two largest parameters alone take so many.
        #[test]
        fn it_is_not_far_from_the_fewest(sizes in prop::collection::vec(1..5_usize, 2..5)) {
            let few = pairwise(&sizes, |_| true).len();
            let mut sorted = sizes.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            let least = sorted[0] * sorted[1];
            prop_assert!(few >= least);
            prop_assert!(few <= 2 * least, "{} for {:?}", few, sizes);
        }
    }
}

//! "Did you mean": the word that a misspelled one was probably meant to be.

/// The candidate closest to `word`, if it is close enough to be worth saying: at most one
/// edit for short words (the first letter of the shortest must be right), two for longer ones. Case does not count. The earlier of equally
/// close candidates wins.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let near = |candidate: &str| {
        let most = match candidate.len() {
            0..=2 => usize::from(word.chars().next() == candidate.chars().next()),
            3..=4 => 1,
            _ => 2,
        };
        let distance = strsim::osa_distance(&word, candidate);
        (distance <= most).then_some(distance)
    };
    candidates
        .into_iter()
        .filter_map(|candidate| near(candidate).map(|distance| (distance, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

//! Which bytes somebody reads. In: ranges of bytes. Out: the first byte outside of them that is not zero.

/// One bit for each byte.
pub(super) struct Cover {
    words: Vec<u64>,
}

impl Cover {
    pub(super) fn new(bytes: usize) -> Self {
        Self { words: vec![0; bytes.div_ceil(64)] }
    }

    /// Marks bytes; what is beyond the end is not marked.
    pub(super) fn mark(&mut self, start: usize, length: usize) {
        let end = start.saturating_add(length).min(self.words.len() * 64);
        let mut at = start;
        while at < end {
            let (word, bit) = (at / 64, at % 64);
            let bits = (64 - bit).min(end - at);
            if let Some(word) = self.words.get_mut(word) {
                *word |= (u64::MAX >> (64 - bits)) << bit;
            }
            at += bits;
        }
    }

    /// The first byte that was not marked and is not zero.
    pub(super) fn unread(&self, bytes: &[u8]) -> Option<usize> {
        let full = |line: usize| self.words.get(line) == Some(&u64::MAX);
        let lines = bytes.chunks(64).enumerate().filter(|(line, _)| !full(*line));
        lines
            .flat_map(|(line, chunk)| (line * 64..).zip(chunk))
            .find(|(at, byte)| **byte != 0 && !self.has(*at))
            .map(|(at, _)| at)
    }

    fn has(&self, at: usize) -> bool {
        self.words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_exactly_what_it_is_told() {
        for (start, length) in [(0, 1), (3, 70), (64, 64), (63, 2), (100, 28), (5, 0), (120, 100)] {
            let mut cover = Cover::new(128);
            cover.mark(start, length);
            for at in 0..128 {
                assert_eq!(cover.has(at), at >= start && at < start + length, "{at} of {start}+{length}");
                let mut bytes = [0; 128];
                bytes[at] = 1;
                assert_eq!(cover.unread(&bytes).is_none(), cover.has(at));
            }
        }
    }
}

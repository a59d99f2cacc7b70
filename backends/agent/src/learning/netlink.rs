//! Messages of nfnetlink as bytes: attributes, headers, batches. What they mean is [`super::nft`]'s matter.
//!
//! In: numbers and names. Out: bytes as `linux/netfilter/nfnetlink.h` has them, and views of those that come back.

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

/// The bit of an attribute's type that says that attributes are in it.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that say what it is.
const TYPE: u16 = 0x3fff;
const HEADER: usize = 16;
/// The header of nfnetlink that follows that of netlink.
const FAMILY_HEADER: usize = 4;

impl Writer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A message with a type, flags, a number, a family and a resource.
    pub(super) fn message(
        &mut self,
        head: (u16, u16, u32),
        (family, resource): (u8, u16),
        body: impl FnOnce(&mut Self),
    ) {
        let start = self.0.len();
        let (kind, flags, sequence) = head;
        self.0.extend([0; 4]);
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(flags.to_ne_bytes());
        self.0.extend(sequence.to_ne_bytes());
        self.0.extend([0; 4]);
        self.0.extend([family, 0]);
        self.0.extend(resource.to_be_bytes());
        body(self);
        let length = ((self.0.len() - start) as u32).to_ne_bytes();
        self.write_at(start, &length);
    }

    /// An attribute; nfnetlink's numbers are big-endian.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend(((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// A text, with the zero at its end.
    pub(super) fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat());
    }

    /// Attributes within an attribute.
    pub(super) fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend([0; 4]);
        body(self);
        let length = ((self.0.len() - start) as u16).to_ne_bytes();
        self.write_at(start, &length);
        self.write_at(start + 2, &(kind | NESTED).to_ne_bytes());
    }

    fn write_at(&mut self, place: usize, bytes: &[u8]) {
        if let Some(room) = self.0.get_mut(place..place + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }
}

/// A message that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'b> {
    pub(super) kind: u16,
    pub(super) sequence: u32,
    /// Behind netlink's header.
    pub(super) body: &'b [u8],
}

impl<'b> Message<'b> {
    /// The attributes behind nfnetlink's header.
    pub(super) fn attributes(&self) -> Attributes<'b> {
        Attributes(self.body.get(FAMILY_HEADER..).unwrap_or_default())
    }

    /// What an error message says: 0, or a number of an error.
    pub(super) fn error(&self) -> Option<i32> {
        self.body.first_chunk::<4>().map(|code| i32::from_ne_bytes(*code).saturating_neg())
    }
}

/// The messages of one datagram.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk::<4>()?) as usize;
        let whole = bytes.get(..length).filter(|_| length >= HEADER)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let number = |at: usize| whole.get(at..)?.first_chunk::<4>().map(|four| u32::from_ne_bytes(*four));
        let kind = u16::from_ne_bytes(*whole.get(4..)?.first_chunk::<2>()?);
        Some(Message { kind, sequence: number(8)?, body: whole.get(HEADER..)? })
    })
}

/// Attributes in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'b>(&'b [u8]);

impl<'b> Attributes<'b> {
    pub(super) fn get(self, kind: u16) -> Option<&'b [u8]> {
        self.into_iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    pub(super) fn within(self, kind: u16) -> Option<Attributes<'b>> {
        self.get(kind).map(Attributes)
    }

    pub(super) fn text(self, kind: u16) -> Option<&'b str> {
        let bytes = self.get(kind)?;
        std::str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes)).ok()
    }

    pub(super) fn number(self, kind: u16) -> Option<u64> {
        self.get(kind)?.first_chunk::<8>().map(|eight| u64::from_be_bytes(*eight))
    }

    /// Those of a value that is a list.
    pub(super) fn of(value: &'b [u8]) -> Self {
        Self(value)
    }
}

impl<'b> Iterator for Attributes<'b> {
    type Item = (u16, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = u16::from_ne_bytes(*self.0.first_chunk::<2>()?) as usize;
        let kind = u16::from_ne_bytes(*self.0.get(2..)?.first_chunk::<2>()?) & TYPE;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_junk_ends() {
        let mut writer = Writer::default();
        writer.message((0x0a0c, 5, 9), (1, 0), |writer| {
            writer.text(1, "egressc");
            writer.nested(3, |writer| writer.attribute(4, &7_u64.to_be_bytes()));
        });
        let message = messages(writer.bytes()).next().unwrap();
        assert_eq!((message.kind, message.sequence), (0x0a0c, 9));
        assert_eq!(message.attributes().text(1), Some("egressc"));
        assert_eq!(message.attributes().within(3).unwrap().number(4), Some(7));
        for length in 0..writer.bytes().len() {
            assert_eq!(messages(&writer.bytes()[..length]).count(), 0);
        }
        assert_eq!(Attributes(&[0; 8]).count(), 0);
    }
}

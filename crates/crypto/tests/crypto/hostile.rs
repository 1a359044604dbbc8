//! Bytes from anywhere: no reader of this crate panics on them or accepts them.

use ajar_crypto::{
    PairingWords, RecoveryPhrase, Secret,
    pad::{pad, unpad},
    pairing::{Enterer, Purpose, Shower},
    vault::{LocalKeys, SegmentKey, VaultHeader, WhichSpace},
};
use proptest::prelude::*;

use crate::support::Recorder;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn files_from_anywhere_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let lmk = Secret::new([1; 32]);
        prop_assert!(VaultHeader::parse(&bytes).is_err());
        prop_assert!(LocalKeys::derive(&lmk).open_keyfile(WhichSpace::Shared, &bytes).is_err());
        prop_assert!(SegmentKey::new(lmk).open_record(b"", &bytes).is_err());
    }

    #[test]
    fn text_from_anywhere_is_no_code_and_no_phrase(text in ".{0,200}") {
        prop_assert!(PairingWords::parse(&text).is_err());
        prop_assert!(RecoveryPhrase::parse(&text).is_err());
    }

    #[test]
    fn what_unpads_is_exactly_what_pad_makes(bytes in proptest::collection::vec(any::<u8>(), 0..40), zeros in 0usize..2100) {
        let padded = [bytes.as_slice(), &vec![0; zeros]].concat();
        if let Ok(content) = unpad(&padded) {
            let again = pad(content);
            prop_assert_eq!(again.as_slice(), padded.as_slice());
        }
    }

    #[test]
    fn pairing_messages_from_anywhere_do_not_pair(
        first in proptest::collection::vec(any::<u8>(), 33),
        confirmation in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let words = PairingWords::parse("apple river window").unwrap();
        let mut entropy = Recorder::new(1);
        let (ana, _) = Shower::start(Purpose::DeviceLink, "1", &[0; 32], &words, &mut entropy).unwrap();
        let mut to_ana = first.clone();
        to_ana[0] = b'B';
        prop_assert!(ana.confirm(&to_ana, &confirmation).is_err());
        let (ben, _) = Enterer::start(Purpose::DeviceLink, "1", &[0; 32], &words, &mut entropy).unwrap();
        let mut to_ben = first;
        to_ben[0] = b'A';
        if let Ok((ben, _)) = ben.receive(&to_ben) {
            prop_assert!(ben.confirm(&confirmation).is_err());
        }
    }
}

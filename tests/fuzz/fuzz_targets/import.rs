#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ajar_tests::fuzzing::fuzz("import", input));

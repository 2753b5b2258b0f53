//! Disks that are gone, full, worn or somebody else's.

use super::*;
use crate::outbox::journal::record::{self, Record, sums};
use crate::outbox::journal::segment::Bits;
use std::fs;
use std::path::PathBuf;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut files = files(folder);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "journal"));
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in files(from) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// Something that can be removed, but not read.
fn spoil(path: &Path) -> PathBuf {
    let good = path.with_extension("good");
    fs::rename(path, &good).unwrap();
    std::os::unix::fs::symlink(".", path).unwrap();
    good
}

fn done(store: &mut Store, numbers: impl IntoIterator<Item = u64>) {
    store.done(&mut numbers.into_iter().map(|n| (JournalSeq(n), 1)).collect()).unwrap();
}

fn numbers(store: &mut Store) -> Vec<u64> {
    read_all(store).into_iter().map(|(_, n)| n).collect()
}

#[test]
fn a_disk_that_is_away_costs_nothing_and_nothing_is_written_in_its_place() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 2 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    append(&mut store, (1..=3000).map(|n| entry(1, n, 100)));
    done(&mut store, 1..=100);
    let away = folder.path().join("pulled out");
    fs::rename(&settings.journal.path, &away).unwrap();
    fs::create_dir(&settings.journal.path).unwrap();
    let mut entries: VecDeque<_> = (3001..=4000)
        .map(|n| ToStore { seq: JournalSeq(n), entry: entry(1, n, 100), journal_only: true })
        .collect();
    for failure in [
        store.read(10_000).unwrap_err(),
        store.append(&mut entries).unwrap_err(),
        store.try_again().unwrap_err(),
        store.done(&mut (101..=2000).map(|n| (JournalSeq(n), 1)).collect()).unwrap_err(),
        store.read(10_000).unwrap_err(),
    ] {
        assert!(failure.to_string().contains("plug the disk in again"), "{failure}");
    }
    assert_eq!(files(&settings.journal.path), [""; 0].map(PathBuf::from));
    fs::remove_dir(&settings.journal.path).unwrap();
    fs::rename(&away, &settings.journal.path).unwrap();
    store.try_again().unwrap();
    let sizes: u64 =
        segments(&settings.journal.path).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(store.state().bytes, sizes, "no file is forgotten");
    assert_eq!(store.lost, []);
    // Nothing is written any more, and still nothing of it comes again.
    drop(store);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    let written = 4000 - entries.len() as u64;
    assert_eq!(numbers(&mut store), (2001..=written).collect::<Vec<_>>());
}

#[test]
fn a_stick_that_comes_back_as_another_device_is_taken_back() {
    // That of an older version was empty; the other one is what a power failure left.
    for lock in [&[][..], &[0; 16]] {
        let folder = TempDir::new().unwrap();
        let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
        fs::create_dir(&settings.journal.path).unwrap();
        fs::write(settings.journal.path.join("lock"), lock).unwrap();
        let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        append(&mut store, (1..=1000).map(|n| entry(1, n, 100)));
        let away = folder.path().join("pulled out");
        fs::rename(&settings.journal.path, &away).unwrap();
        // Another stick is none of ours.
        drop(Store::open(BootClock::read(), &settings, &ports()).unwrap());
        let error = store.try_again().unwrap_err().to_string();
        assert!(error.contains("plug the disk in again"), "{error}");
        assert_eq!(files(&settings.journal.path), [settings.journal.path.join("lock")]);
        fs::remove_dir_all(&settings.journal.path).unwrap();
        copy(&away, &settings.journal.path);
        // Somebody has it meanwhile.
        let other = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        for _ in 0..2 {
            let error = store.try_again().unwrap_err().to_string();
            assert!(error.ends_with("another gateway uses this journal"), "{error}");
        }
        drop(other);
        store.try_again().unwrap();
        assert_eq!(store.lost, []);
        let error = Store::open(BootClock::read(), &settings, &ports()).unwrap_err().to_string();
        assert!(error.ends_with("another gateway uses this journal"), "{error}");
        append(&mut store, (1001..=1100).map(|n| entry(1, n, 100)));
        assert_eq!(numbers(&mut store), (1..=1100).collect::<Vec<_>>());
        drop(store);
        let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        assert_eq!(numbers(&mut store), (1..=1100).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_that_cannot_be_removed_is_not_forgotten() {
    for is_restarted in [false, true] {
        let folder = TempDir::new().unwrap();
        let settings = settings(folder.path(), 2 << 20, Drop::Oldest);
        let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        append(&mut store, (1..=2000).map(|n| entry(1, n, 100)));
        let path = segments(&settings.journal.path).swap_remove(0);
        let good = path.with_extension("good");
        let size = path.metadata().unwrap().len();
        // A folder is nothing that could be removed like a file.
        fs::rename(&path, &good).unwrap();
        fs::create_dir(&path).unwrap();
        for start in [0, 2000, 4000] {
            append(&mut store, (start.max(2000) + 1..=start + 2000).map(|n| entry(1, n, 100)));
            done(&mut store, start + 1..start + 2000);
        }
        assert!(store.state().bytes > size, "{:?}", store.state());
        fs::remove_dir(&path).unwrap();
        fs::rename(&good, &path).unwrap();
        match is_restarted {
            true => drop(store),
            false => done(&mut store, [2000]),
        }
        if is_restarted {
            store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
            assert_eq!(numbers(&mut store), [2000, 4000, 6000]);
        }
        assert!(!path.exists());
    }
}

#[test]
fn a_segment_that_could_not_be_begun_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    let in_the_way = settings.journal.path.join(format!("{:020}.journal", 1));
    fs::create_dir(&in_the_way).unwrap();
    let mut entries = VecDeque::from([ToStore {
        seq: JournalSeq(1),
        entry: entry(1, 1, 100),
        journal_only: true,
    }]);
    store.append(&mut entries).unwrap_err();
    assert_eq!(files(&settings.journal.path), [in_the_way, settings.journal.path.join("lock")]);
}

#[test]
fn what_is_not_readable_stops_a_full_journal_for_a_few_tries_only() {
    for is_retained in [false, true] {
        let folder = TempDir::new().unwrap();
        let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
        let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        // Both ports have something everywhere.
        let from = |n: u64| entry(if n.is_multiple_of(10) { 1 } else { 3 }, n, 500);
        let of = |n: u64| entry_to(&format!("t/{}", n % 7), is_retained, from(n));
        assert_eq!(append(&mut store, (1..=1500).map(of)), []);
        let paths = segments(&settings.journal.path);
        spoil(&paths[0]);
        let second: u64 = paths[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let mut entries: VecDeque<_> = (1501..=3000)
            .map(|n| ToStore { seq: JournalSeq(n), entry: of(n), journal_only: true })
            .collect();
        let mut failures = 0;
        while store.append(&mut entries).is_err() {
            failures += 1;
            assert_eq!((failures <= 2, &store.lost[..]), (true, &[][..]));
            store.try_again().unwrap();
        }
        assert_eq!((failures, entries.len()), (2, 0));
        assert!(fs::symlink_metadata(&paths[0]).is_err());
        let lost = std::mem::take(&mut store.lost);
        let quiet: u64 =
            lost.iter().filter(|lost| lost.port == 1).map(|lost| lost.journal_only).sum();
        assert_eq!(quiet, (1..second).filter(|n| n.is_multiple_of(10)).count() as u64);
        let all: u64 = lost.iter().map(|lost| lost.journal_only).sum();
        let replaced: u64 = std::mem::take(&mut store.replaced).into_values().sum();
        assert_eq!(replaced > 0, is_retained);
        assert_eq!(read_all(&mut store).len() as u64 + all + replaced, 3000);
    }
}

#[test]
fn a_segment_that_was_readable_again_has_all_its_tries() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    append(&mut store, (1..=300).map(|n| entry(1, n, 100)));
    let path = segments(&settings.journal.path).swap_remove(0);
    let mut count = 0;
    for _ in 0..3 {
        let good = spoil(&path);
        for _ in 0..2 {
            store.read(10_000).unwrap_err();
        }
        fs::rename(&good, &path).unwrap();
        count += store.read(10_000).unwrap().len();
    }
    count += read_all(&mut store).len();
    assert_eq!((count, store.lost.len()), (300, 0));
}

#[test]
fn what_is_written_anew_keeps_no_summary() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    // One in a hundred is the quiet port's, and half of those are done soon after.
    let (mut expected, mut lost) = (Vec::new(), Vec::new());
    for start in (0..20_000).step_by(100) {
        let port = |n: u64| if n == start + 50 { 1 } else { 3 };
        lost.extend(append(&mut store, (start + 1..=start + 100).map(|n| entry(port(n), n, 500))));
        match start % 200 {
            0 => done(&mut store, [start + 50]),
            _ => expected.push(start + 50),
        }
    }
    assert!(lost.iter().all(|lost| lost.port == 3), "{lost:?}");
    let (mut summaries, mut all) = (0, 0);
    for path in segments(&settings.journal.path) {
        let bytes = fs::read(path).unwrap();
        all += bytes.len();
        for found in record::read_from(record::HEADER, &bytes) {
            if matches!(found.record, Some(Record::Live { .. } | Record::Done(_))) {
                summaries += found.bytes.len();
            }
        }
    }
    assert!(summaries * 10 < all, "{summaries} of {all} bytes are summaries");
    drop(store);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    let quiet: Vec<_> =
        read_all(&mut store).into_iter().filter(|(port, _)| *port == 1).map(|(_, n)| n).collect();
    assert_eq!(quiet, expected);
}

#[test]
fn of_a_segment_only_what_its_summary_keeps_is_needed() {
    let mut bits = Bits::default();
    (0..200).for_each(|n| bits.set(n));
    let kept = |bits: &Bits| (0..200).filter(|n| bits.get(*n)).collect::<Vec<_>>();
    bits.keep(&[1 << 63, 3, 1 << 7 | 1 << 40]);
    assert_eq!(kept(&bits), [63, 64, 65, 135, 168]);
    bits.keep(&[u64::MAX, 1]);
    assert_eq!(kept(&bits), [63, 64]);
    let mut done = Bits::default();
    (64..70).for_each(|n| done.set(n));
    bits.remove(&done);
    assert_eq!(kept(&bits), [63]);
}

/// Every file of a folder, whatever its name.
fn size_of(folder: &Path) -> u64 {
    files(folder).iter().map(|path| fs::symlink_metadata(path).map_or(0, |meta| meta.len())).sum()
}

/// Flips each bit of the header of each segment in turn: every message comes, or is counted.
#[test]
fn no_bit_of_a_header_costs_a_message() {
    let folder = TempDir::new().unwrap();
    let good = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &good, &ports()).unwrap();
    append(&mut store, (1..=250).map(|n| entry(1, n, 1000)));
    done(&mut store, 1..=40);
    drop(store);
    let count = segments(&good.journal.path).len();
    assert!(count >= 3, "{count} segments");
    for index in 0..count {
        for bit in 0..record::HEADER * 8 {
            let copied = folder.path().join("copy");
            copy(&good.journal.path, &copied);
            let path = segments(&copied).swap_remove(index);
            let mut bytes = fs::read(&path).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            let mut settings = good.clone();
            settings.journal.path = copied.clone();
            let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
            let damaged = store.state().damaged;
            let came = numbers(&mut store);
            assert!(came == (41..=250).collect::<Vec<_>>(), "bit {bit}: {} came", came.len());
            assert_eq!(damaged, record::HEADER as u64, "bit {bit}");
            drop(store);
            fs::remove_dir_all(&copied).unwrap();
        }
    }
}

/// A file under the name of another: its header is right.
#[test]
fn a_name_that_is_wrong_costs_no_message() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    append(&mut store, (1..=150).map(|n| entry(1, n, 1000)));
    drop(store);
    let paths = segments(&settings.journal.path);
    fs::rename(&paths[0], settings.journal.path.join(record::name(JournalSeq(500_000)))).unwrap();
    // And one that was copied comes once.
    fs::copy(&paths[1], settings.journal.path.join("copy.journal")).unwrap();
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    assert_eq!(numbers(&mut store), (1..=150).collect::<Vec<_>>());
}

/// Records that belong elsewhere are counted, not passed over.
#[test]
fn what_does_not_fit_to_its_segment_is_counted() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    append(&mut store, [entry(1, 1, 100)]);
    drop(store);
    let path = segments(&settings.journal.path).swap_remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let before = bytes.len();
    record::put_message(&mut bytes, JournalSeq(9_000_000), &entry(1, 2, 100), None);
    fs::write(&path, &bytes).unwrap();
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    assert_eq!(store.state().damaged, (bytes.len() - before) as u64);
    assert_eq!(numbers(&mut store), [1]);
}

#[test]
fn what_is_no_regular_file_is_neither_read_nor_written() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    append(&mut store, [entry(1, 1, 100)]);
    drop(store);
    let victim = folder.path().join("victim");
    fs::write(&victim, "short").unwrap();
    let at = |name: &str| settings.journal.path.join(name);
    let link = |name: &str| std::os::unix::fs::symlink(&victim, at(name)).unwrap();
    let pipe = |name: &str| {
        rustix::fs::mkfifoat(rustix::fs::CWD, at(name), 0o600.into()).unwrap();
    };
    pipe("0.journal");
    pipe("probe.new");
    fs::create_dir(at("00000000000000000002.journal")).unwrap();
    link("00000000000000000003.journal");
    link("00000000000000000002.new");
    // A FAT stick has such files after a power failure.
    let sparse = fs::File::create(at("00000000000000000007.journal")).unwrap();
    sparse.set_len(3 << 30).unwrap();
    fs::hard_link(&victim, at("00000000000000000009.new")).unwrap();
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    append(&mut store, [entry(1, 2, 100)]);
    link("probe.new");
    store.try_again().unwrap();
    append(&mut store, [entry(1, 3, 100)]);
    assert_eq!(numbers(&mut store), [1, 2, 3]);
    drop(store);
    assert_eq!(fs::read(&victim).unwrap(), b"short");
    let asides = files(&settings.journal.path);
    let asides = asides.iter().filter(|path| path.to_string_lossy().contains("aside")).count();
    assert_eq!(asides, 4, "pipe, folder, link and the file of zeros");
    for stranger in [&link as &dyn Fn(&str), &pipe] {
        fs::remove_file(at("lock")).unwrap();
        stranger("lock");
        let error = Store::open(BootClock::read(), &settings, &ports()).unwrap_err().to_string();
        assert!(error.contains("lock: is "), "{error}");
        assert_eq!(fs::read(&victim).unwrap(), b"short");
    }
    fs::remove_file(at("lock")).unwrap();
    fs::hard_link(&victim, at("lock")).unwrap();
    Store::open(BootClock::read(), &settings, &ports()).unwrap_err();
    assert_eq!(fs::read(&victim).unwrap(), b"short");
}

#[test]
fn its_files_are_for_its_user_alone() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    fs::create_dir(&settings.journal.path).unwrap();
    fs::set_permissions(&settings.journal.path, fs::Permissions::from_mode(0o777)).unwrap();
    let why =
        crate::outbox::journal::files::is_open_to_others(&settings.journal.path).unwrap().unwrap();
    assert!(why.contains("mode 0777"), "{why}");
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    append(&mut store, [entry(1, 1, 100)]);
    for path in files(&settings.journal.path) {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
    }
    fs::set_permissions(&settings.journal.path, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(
        crate::outbox::journal::files::is_open_to_others(&settings.journal.path).unwrap(),
        None
    );
}

/// Half of the size is heads of records that claim all that follows, by turns with good ones: each
/// could be the next after the damage before it.
fn full_of_claims(size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut n = 0;
    while bytes.len() < size {
        n += 1;
        for _ in 0..20 {
            let claim = size.saturating_sub(bytes.len() + 50) as u32;
            bytes.extend_from_slice(&[0xD7, b'R', 1]);
            bytes.extend_from_slice(&claim.to_le_bytes());
            bytes.extend_from_slice(&[1, 2, 3, 4]);
        }
        record::put_message(&mut bytes, JournalSeq(n), &entry(1, n, 100), None);
    }
    bytes
}

#[test]
fn the_search_behind_damage_takes_a_time_that_grows_with_the_file() {
    let work = |size| {
        let bytes = full_of_claims(size);
        let mut good = 0;
        let work = sums::work::of(|| {
            good = record::read_from(0, &bytes).filter(|found| found.record.is_some()).count();
        });
        assert!(good > size / 1000, "{good} records");
        work
    };
    let (small, large) = (work(64 << 10), work(256 << 10));
    assert!(large < 5 * small, "{small} bytes of work for 64 KiB, {large} for 256 KiB");
    println!("{small} bytes of work for 64 KiB, {large} for 256 KiB");
}

/// Whatever comes and goes, no more is on the disk than was allowed.
#[test]
fn the_size_is_never_exceeded() {
    for policy in [Drop::Oldest, Drop::Newest] {
        let folder = TempDir::new().unwrap();
        let settings = settings(folder.path(), 1 << 20, policy);
        let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        let check = |store: &Store| {
            let (size, said) = (size_of(&settings.journal.path), store.state().bytes);
            assert!(size <= 1 << 20, "{size} bytes, {said} of them said");
        };
        for n in 1..=6000 {
            let port = if n % 7 == 0 { 1 } else { 3 };
            append(&mut store, [entry_to(&format!("t/{port}"), n % 3 == 0, entry(port, n, 300))]);
            check(&store);
            // Far apart, so that no file goes and each of them takes up most room.
            if n % 5 == 0 {
                done(&mut store, [n - 2]);
                check(&store);
            }
        }
        for n in (1..=6000).step_by(2) {
            done(&mut store, [n]);
            check(&store);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u16, u64),
    /// Each so-manieth of those that are not, from one on.
    Done(usize, usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..=3_u16, 1..100_u64).prop_map(|(port, count)| Step::Append(port, count)),
        3 => (0..500_usize, 1..20_usize).prop_map(|(from, each)| Step::Done(from, each)),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// However much was written anew to make room, a restart finds what was needed before it.
    #[test]
    fn no_restart_brings_back_what_was_done(steps in prop::collection::vec(step(), 0..80)) {
        let folder = TempDir::new().unwrap();
        let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
        let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        let mut needed = Vec::new();
        for step in steps.into_iter().chain([Step::Restart]) {
            match step {
                Step::Append(port, count) => {
                    let first = store.last.0 + 1;
                    append(&mut store, (first..first + count).map(|n| entry(port, n, 2000)));
                    needed.extend((first..first + count).map(|n| (port, n)));
                }
                Step::Done(from, each) => {
                    let mut done: Vec<_> = needed.iter().skip(from).step_by(each).copied().collect();
                    needed.retain(|one| !done.contains(one));
                    store.done(&mut done.drain(..).map(|(port, n)| (JournalSeq(n), port)).collect()).unwrap();
                }
                Step::Restart => {
                    let count = store.state().messages;
                    drop(store);
                    store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
                    let found = read_all(&mut store);
                    prop_assert_eq!(found.len() as u64, count);
                    prop_assert!(found.iter().all(|one| needed.contains(one)));
                    needed = found;
                }
            }
        }
    }
}

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{Storage, create};

const SEEDS: u64 = 12;

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

/// What a run does: creates an object, or removes it.
#[derive(Debug, Clone, Copy)]
enum Step {
    Create(usize),
    Remove(usize),
}

use Step::{Create, Remove};

/// Nested folders, several objects in one, names freed, and an attempt at a name that is taken.
const STEPS: [Step; 10] =
    [Create(0), Create(1), Create(2), Remove(1), Create(3), Create(2), Create(4), Remove(0), Create(5), Remove(4)];

fn object(n: usize) -> ObjectName {
    name(["config", "packs/aa/0", "packs/aa/1", "packs/bb/2", "log/3", "a/b/c/d/4"][n])
}

/// All that an object may ever hold. Long enough for several blocks, and different for each.
fn content(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(70 + name.len()).collect()
}

/// What a caller was told about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Created,
    Removed,
    Nothing,
}

/// Runs the steps and returns what was acknowledged, and for the rest that nothing is known.
fn run(storage: &LocalStorage, steps: &[Step]) -> BTreeMap<ObjectName, Told> {
    let mut told = BTreeMap::new();
    for step in steps {
        match *step {
            Create(n) => {
                let bytes = content(object(n).as_str());
                let result = storage.begin().and_then(|mut upload| {
                    let (start, end) = bytes.split_at(50);
                    upload.write(start)?;
                    upload.write(end)?;
                    upload.finish(&object(n))
                });
                match result {
                    Ok(()) | Err(StoreError::AlreadyExists { .. }) => told.insert(object(n), Told::Created),
                    Err(_) if told.get(&object(n)) == Some(&Told::Created) => None,
                    Err(_) => told.insert(object(n), Told::Nothing),
                };
            }
            Remove(n) => {
                let removed = storage.remove(&object(n));
                let outcome = match removed {
                    Ok(()) | Err(StoreError::NotFound { .. }) => Told::Removed,
                    Err(_) => Told::Nothing,
                };
                told.insert(object(n), outcome);
            }
        }
    }
    told
}

/// Compares a disk with what its users were told; the first lie is the error.
fn examine(storage: &LocalStorage, told: &BTreeMap<ObjectName, Told>) -> Result<(), String> {
    let listed = storage.list("").map_err(|error| error.to_string())?;
    let names: BTreeSet<ObjectName> = listed.iter().filter_map(crate::Listed::object_name).collect();
    for name in &names {
        if storage.read(name).ok() != Some(content(name.as_str())) {
            return Err(format!("`{name}` is listed and torn"));
        }
    }
    for (name, told) in told {
        match told {
            Told::Created if !names.contains(name) => return Err(format!("`{name}` was acknowledged and is lost")),
            Told::Removed if names.contains(name) => return Err(format!("`{name}` was removed and came back")),
            _ => {}
        }
    }
    Ok(())
}

/// A `LocalStorage` that is as forgetful as the one under test.
type Start = fn(&SimDisk) -> LocalStorage;

/// Cuts the power at every operation of the run, with every seed, and looks at what is left.
fn cut_power_everywhere(steps: &[Step], start: Start) -> Result<(), String> {
    let calm = SimDisk::new();
    run(&start(&calm), steps);
    for k in 0..=calm.operations() {
        let disk = SimDisk::new();
        disk.crash_at(k);
        let told = run(&start(&disk), steps);
        for seed in 0..SEEDS {
            let lost = disk.snapshot();
            lost.power_loss(seed);
            examine(&lost.storage(), &told).map_err(|lie| format!("power cut at {k}, seed {seed}: {lie}"))?;
        }
    }
    Ok(())
}

#[test]
fn acknowledged_objects_survive_power_loss_at_every_operation() {
    assert_eq!(cut_power_everywhere(&STEPS, SimDisk::storage), Ok(()));
}

#[test]
fn after_power_loss_the_storage_works_and_a_sweep_tidies_up() {
    let calm = SimDisk::new();
    run(&calm.storage(), &STEPS);
    for k in 0..calm.operations() {
        let disk = SimDisk::new();
        disk.crash_at(k);
        run(&disk.storage(), &STEPS);
        disk.power_loss(k);
        let storage = disk.storage();
        storage.sweep().unwrap();
        let left = disk.files().into_keys().filter(|path| path.starts_with("tmp/")).count();
        assert_eq!(left, 0, "power cut at {k}");
        let told = run(&storage, &STEPS);
        assert!(told.values().all(|told| *told != Told::Nothing));
        disk.power_loss(k);
        examine(&disk.storage(), &told).unwrap();
    }
}

/// What a broken program leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forgets {
    File,
    Folder,
    NewFolder,
}

/// File operations of a program that believes a sync is not needed.
#[derive(Debug)]
struct Forgetful {
    process: Process,
    forgets: Forgets,
}

impl Files for Forgetful {
    fn create_temp(&self, folder: &Path) -> io::Result<(PathBuf, Box<dyn Temp>)> {
        let (path, temp) = self.process.create_temp(folder)?;
        let temp: Box<dyn Temp> = if self.forgets == Forgets::File { Box::new(Unsealed(temp)) } else { temp };
        Ok((path, temp))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let folders_only = ["", "a", "a/b", "a/b/c"].map(Path::new).contains(&path);
        match self.forgets {
            Forgets::Folder => Ok(()),
            Forgets::NewFolder if folders_only => Ok(()),
            _ => self.process.sync_folder(path),
        }
    }

    fn reclaim(&self, path: &Path) -> io::Result<bool> {
        self.process.reclaim(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.process.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.process.remove(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.process.create_folder(path)
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.process.entries(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.process.read(path)
    }

    fn read_range_into(&self, path: &Path, offset: u64, length: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.process.read_range_into(path, offset, length, buffer)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        self.process.size(path)
    }

    fn space(&self) -> io::Result<Option<Space>> {
        self.process.space()
    }
}

struct Unsealed(Box<dyn Temp>);

impl Temp for Unsealed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }

    fn seal(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn forgetful(disk: &SimDisk, forgets: Forgets) -> LocalStorage {
    LocalStorage::over(Arc::new(Forgetful { process: disk.process(), forgets }), String::new())
}

#[test]
fn the_simulator_catches_who_does_not_sync_files() {
    let lie = cut_power_everywhere(&STEPS, |disk| forgetful(disk, Forgets::File)).unwrap_err();
    assert!(lie.ends_with("is listed and torn"), "{lie}");
}

#[test]
fn the_simulator_catches_who_does_not_sync_folders() {
    let lie = cut_power_everywhere(&[Create(0)], |disk| forgetful(disk, Forgets::Folder)).unwrap_err();
    assert!(lie.ends_with("was acknowledged and is lost"), "{lie}");
}

#[test]
fn the_simulator_catches_who_does_not_sync_removals() {
    let disk = SimDisk::new();
    create(&disk.storage(), &object(0), &content("config")).unwrap();
    let told = run(&forgetful(&disk, Forgets::Folder), &[Remove(0)]);
    let survives = |seed| {
        let lost = disk.snapshot();
        lost.power_loss(seed);
        examine(&lost.storage(), &told)
    };
    assert!((0..SEEDS).any(|seed| survives(seed) == Err("`config` was removed and came back".to_owned())));
}

#[test]
fn the_simulator_catches_who_does_not_sync_new_folders() {
    let lie = cut_power_everywhere(&[Create(5)], |disk| forgetful(disk, Forgets::NewFolder)).unwrap_err();
    assert!(lie.ends_with("was acknowledged and is lost"), "{lie}");
}

#[test]
fn folders_made_by_a_process_that_died_are_made_durable_by_the_next() {
    let calm = SimDisk::new();
    run(&calm.storage(), &[Create(1)]);
    for k in 0..calm.operations() {
        let disk = SimDisk::new();
        disk.crash_at(k);
        run(&disk.storage(), &[Create(1)]);
        disk.kill();
        let told = run(&disk.storage(), &[Create(1), Create(2), Create(5)]);
        for seed in 0..SEEDS {
            let lost = disk.snapshot();
            lost.power_loss(seed);
            examine(&lost.storage(), &told).unwrap_or_else(|lie| panic!("killed at {k}, seed {seed}: {lie}"));
        }
    }
}

#[test]
fn what_is_visible_when_swept_is_durable_and_what_is_not_found_stays_away() {
    let calm = SimDisk::new();
    run(&calm.storage(), &STEPS);
    for k in 0..calm.operations() {
        let disk = SimDisk::new();
        disk.crash_at(k);
        run(&disk.storage(), &STEPS);
        disk.kill();
        let storage = disk.storage();
        storage.sweep().unwrap();
        let visible = storage.list("").unwrap();
        for seed in 0..SEEDS {
            let lost = disk.snapshot();
            lost.power_loss(seed);
            assert_eq!(lost.storage().list("").unwrap(), visible, "killed at {k}, seed {seed}");
        }
    }
}

#[test]
fn a_removal_that_is_repeated_is_durable() {
    let disk = SimDisk::new();
    create(&disk.storage(), &object(1), b"1").unwrap();
    disk.crash_at(disk.operations() + 1);
    assert!(matches!(disk.storage().remove(&object(1)), Err(StoreError::Crashed)));
    disk.kill();
    assert!(matches!(disk.storage().remove(&object(1)), Err(StoreError::NotFound { .. })));
    for seed in 0..SEEDS {
        disk.power_loss(seed);
        assert!(disk.storage().list("").unwrap().is_empty());
    }
}

#[test]
fn any_failing_operation_leaves_whole_objects_only_and_can_be_repeated() {
    let calm = SimDisk::new();
    run(&calm.storage(), &STEPS);
    for (k, cut) in (0..calm.operations()).flat_map(|k| [(k, Cut::Before), (k, Cut::After)]) {
        for failure in [Failure::Io, Failure::Full, Failure::ReadOnly] {
            let disk = SimDisk::new();
            let storage = disk.storage();
            disk.cut(cut);
            disk.fail_at(k, failure);
            let told = run(&storage, &STEPS);
            examine(&storage, &told).unwrap_or_else(|lie| panic!("{failure:?} at {k}: {lie}"));
            for seed in 0..SEEDS {
                let lost = disk.snapshot();
                lost.power_loss(seed);
                examine(&lost.storage(), &told)
                    .unwrap_or_else(|lie| panic!("{failure:?} at {k}, power cut with seed {seed}: {lie}"));
            }
            disk.kill();
            let told = run(&disk.storage(), &STEPS);
            assert!(told.values().all(|told| *told != Told::Nothing), "{failure:?} at {k}: {told:?}");
            disk.power_loss(k);
            examine(&disk.storage(), &told).unwrap_or_else(|lie| panic!("{failure:?} at {k}: {lie}"));
        }
    }
}

#[test]
fn a_disk_that_fails_for_good_keeps_what_it_acknowledged() {
    let calm = SimDisk::new();
    run(&calm.storage(), &STEPS);
    for k in 0..calm.operations() {
        for failure in [Failure::Io, Failure::Full, Failure::ReadOnly] {
            let disk = SimDisk::new();
            disk.fail_from(k, failure);
            let told = run(&disk.storage(), &STEPS);
            disk.power_loss(k);
            examine(&disk.storage(), &told).unwrap_or_else(|lie| panic!("{failure:?} from {k}: {lie}"));
        }
    }
}

#[test]
fn a_sync_that_failed_is_not_made_good_by_the_next_one() {
    let disk = SimDisk::new();
    let process = disk.process();
    let (path, mut temp) = process.create_temp(Path::new("")).unwrap();
    temp.write(b"bytes").unwrap();
    disk.fail_at(disk.operations(), Failure::Io);
    assert!(temp.seal().is_err());
    temp.seal().unwrap();
    process.sync_folder(Path::new("")).unwrap();
    for seed in 0..SEEDS {
        let lost = disk.snapshot();
        lost.power_loss(seed);
        assert_ne!(lost.files().get(path.to_str().unwrap()), Some(&b"bytes".to_vec()), "seed {seed}");
    }
}

#[test]
fn a_sync_of_a_folder_that_failed_is_made_good_by_another_process_only() {
    let disk = SimDisk::new();
    let process = disk.process();
    let folder = Path::new("");
    process.create_folder(Path::new("name")).unwrap();
    disk.fail_at(disk.operations(), Failure::Io);
    assert!(process.sync_folder(folder).is_err());
    let survives = |seed| {
        let lost = disk.snapshot();
        lost.power_loss(seed);
        !lost.process().entries(folder).unwrap().is_empty()
    };
    process.sync_folder(folder).unwrap();
    assert!(!(0..SEEDS).all(survives));
    disk.process().sync_folder(folder).unwrap();
    assert!((0..SEEDS).all(survives));
}

#[test]
fn power_loss_is_the_same_for_the_same_seed_and_differs_between_seeds() {
    let after = |seed| {
        let disk = SimDisk::new();
        let process = disk.process();
        for n in 0..4 {
            let (path, mut temp) = process.create_temp(Path::new("")).unwrap();
            temp.write(&content("some long content")).unwrap();
            process.rename(&path, Path::new(&format!("moved-{n}"))).unwrap();
        }
        disk.power_loss(seed);
        disk.files()
    };
    let outcomes: BTreeSet<_> = (0..50).map(after).collect();
    assert_eq!(outcomes, (0..50).map(after).collect());
    assert!(outcomes.len() > 25, "only {} outcomes", outcomes.len());
    let has = |test: fn(&BTreeMap<String, Vec<u8>>) -> bool| outcomes.iter().any(test);
    assert!(has(|files| files.values().any(Vec::is_empty)), "a name without bytes");
    assert!(has(|files| files.values().any(|bytes| bytes.len() > 32 && bytes.iter().all(|byte| *byte == 0))), "zeros");
    assert!(has(|files| files.contains_key("0") && files.contains_key("moved-0")), "half a move");
    assert!(has(|files| !files.contains_key("0") && !files.contains_key("moved-0")), "neither name");
}

#[test]
fn bits_flip_where_asked_and_stay_flipped() {
    let disk = SimDisk::new();
    assert_eq!(disk.rot(1), None);
    create(&disk.storage(), &name("a"), &[0; 8]).unwrap();
    disk.flip_bit(&name("a"), 3, 7).unwrap();
    disk.power_loss(1);
    assert_eq!(disk.files()["a"], [0, 0, 0, 128, 0, 0, 0, 0]);
    assert!(matches!(disk.flip_bit(&name("a"), 8, 0), Err(StoreError::Short { .. })));
    assert!(matches!(disk.flip_bit(&name("b"), 0, 0), Err(StoreError::Short { .. })));

    let before = disk.files();
    let (path, offset) = disk.rot(5).unwrap();
    assert_eq!((disk.files()[&path][offset] ^ before[&path][offset]).count_ones(), 1);
}

#[test]
fn a_limited_disk_tells_its_space() {
    let disk = SimDisk::default();
    assert_eq!(disk.storage().space().unwrap(), None);
    disk.set_capacity(Some(100));
    create(&disk.storage(), &name("a"), &[1; 30]).unwrap();
    assert_eq!(disk.storage().space().unwrap(), Some(Space { free: 70, total: 100 }));
    disk.storage().remove(&name("a")).unwrap();
    assert_eq!(disk.storage().space().unwrap(), Some(Space { free: 100, total: 100 }));
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![(0..6_usize).prop_map(Create), (0..6_usize).prop_map(Remove)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_run_survives_two_power_losses(
        steps in prop::collection::vec(step(), 1..12), k in 0..120_u64, again in 0..60_u64, seed: u64
    ) {
        let disk = SimDisk::new();
        disk.crash_at(k);
        let mut told = run(&disk.storage(), &steps);
        disk.power_loss(seed);
        prop_assert_eq!(examine(&disk.storage(), &told), Ok(()));

        disk.crash_at(disk.operations() + again);
        told.extend(run(&disk.storage(), &steps));
        disk.power_loss(seed ^ 1);
        prop_assert_eq!(examine(&disk.storage(), &told), Ok(()));
    }
}

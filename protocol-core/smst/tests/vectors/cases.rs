//! Cases as tests, and how many of each section passed.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use libtest_mimic::{Arguments, Failed, Trial};

use super::file::File;
use super::kind::Kind;
use super::{closest, gob, membership, sequences, shape, tampered};

/// The cases of all files.
#[derive(Default)]
pub(crate) struct Cases {
    trials: Vec<Trial>,
    sections: Vec<Section>,
}

struct Section {
    file: &'static str,
    name: &'static str,
    cases: usize,
    passed: Arc<AtomicUsize>,
}

impl Cases {
    /// Adds the cases of the file called `name`.
    pub(crate) fn add_file<K: Kind>(&mut self, name: &'static str) {
        let text = File::text(name);
        let file = Arc::new(File::parse(&text));
        assert_eq!(
            file.meta.main_spec.sum_trie,
            K::SUM,
            "{name} is of the other kind"
        );
        self.add(
            name,
            "sequences",
            &file,
            |file| &file.sequences,
            |_, case| {
                sequences::check::<K>(case);
            },
        );
        self.add(
            name,
            "membership",
            &file,
            |file| &file.membership,
            membership::check::<K>,
        );
        self.add(name, "closest", &file, |file| &file.closest, closest::check::<K>);
        self.add(
            name,
            "closest_tampered",
            &file,
            |file| &file.closest_tampered,
            tampered::check::<K>,
        );
        self.add(
            name,
            "compact_closest_tampered",
            &file,
            |file| &file.compact_closest_tampered,
            tampered::check_compact::<K>,
        );
        self.add(
            name,
            "gob_decode",
            &file,
            |file| &file.gob_decode,
            |_, case| {
                gob::check::<K>(case);
            },
        );
        self.trials.push(Trial::test(format!("{name}/shape"), move || {
            shape::check(&text);
            Ok(())
        }));
    }

    fn add<C: Named>(
        &mut self,
        file_name: &'static str,
        name: &'static str,
        file: &Arc<File>,
        section: fn(&File) -> &Vec<C>,
        check: fn(&File, &C),
    ) {
        let passed = Arc::new(AtomicUsize::new(0));
        for (index, case) in section(file).iter().enumerate() {
            let (file, passed) = (Arc::clone(file), Arc::clone(&passed));
            let title = format!("{file_name}/{name}/{index} {}", case.title());
            self.trials.push(Trial::test(title, move || {
                check(&file, &section(&file)[index]);
                passed.fetch_add(1, Ordering::Relaxed);
                Ok::<(), Failed>(())
            }));
        }
        self.sections.push(Section {
            file: file_name,
            name,
            cases: section(file).len(),
            passed,
        });
    }

    /// Runs what `arguments` ask for, then says how many cases of each section and file passed.
    pub(crate) fn run(self, arguments: &Arguments) -> ExitCode {
        let conclusion = libtest_mimic::run(arguments, self.trials);
        if !arguments.list {
            let mut files: Vec<&str> = self.sections.iter().map(|section| section.file).collect();
            files.dedup();
            for file in files {
                summary(file, self.sections.iter().filter(|section| section.file == file));
            }
        }
        conclusion.exit_code()
    }
}

fn summary<'a>(file: &str, sections: impl Iterator<Item = &'a Section>) {
    let (mut ran, mut all) = (0, 0);
    for section in sections {
        let passed = section.passed.load(Ordering::Relaxed);
        println!("{file}: {passed} of {} {} passed", section.cases, section.name);
        (ran, all) = (ran + passed, all + section.cases);
    }
    println!("{file}: {ran} of {all} cases passed\n");
}

/// What a case is called in a report.
pub(crate) trait Named: 'static {
    fn title(&self) -> String;
}

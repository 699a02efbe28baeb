//! The file for dead letters: one JSON object a line, put aside when it is large.
//!
//! It is opened anew for each write, under a lock beside it: several streams, processes and
//! `dead-letter redrive`, which replaces the file, get along. Dead letters are rare.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::config::DeadLetterFileConfig;

/// The file, and those put aside.
#[derive(Debug)]
pub struct DeadLetterFile {
    path: PathBuf,
    max_size: u64,
    keep: u32,
}

impl DeadLetterFile {
    /// The file that `config` names; nothing is opened yet.
    #[must_use]
    pub fn new(config: &DeadLetterFileConfig) -> Self {
        let (max_size, keep) = (config.max_size.bytes(), config.keep);
        Self { path: config.path.clone(), max_size, keep }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends lines; they are on disk when it returns. Blocks.
    ///
    /// # Errors
    /// What the system says. Some of the lines may have been written.
    pub fn append(&self, lines: &[Bytes]) -> io::Result<()> {
        fs::create_dir_all(self.folder())?;
        let _lock = self.lock()?;
        let mut file = self.open()?;
        let mut size = file.seek(SeekFrom::End(0))?;
        for line in lines {
            let more = line.len() as u64 + 1;
            if size > 0 && size + more > self.max_size {
                file.sync_data()?;
                self.put_aside()?;
                file = self.open()?;
                size = 0;
            }
            file.write_all(line)?;
            file.write_all(b"\n")?;
            size += more;
        }
        file.sync_data()?;
        sync_folder(self.folder())
    }

    /// Shows each line, the oldest first, of the files put aside and of the file itself, until
    /// `look` has seen enough and returns false. Blocks.
    ///
    /// # Errors
    /// What the system says; a file that is not there has no lines.
    pub fn read(&self, mut look: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        for path in self.all() {
            for line in lines(&path)? {
                if !look(&line?) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Puts what `change` makes of each line in its place, and takes out those that it makes
    /// nothing of; each file is replaced as a whole. Blocks.
    ///
    /// # Errors
    /// What the system says; the file at hand is then as it was.
    pub fn rewrite(&self, change: impl Fn(&[u8]) -> Option<Cow<'_, [u8]>>) -> io::Result<()> {
        let _lock = self.lock()?;
        for path in self.all() {
            let temporary = with_suffix(&self.path, ".new");
            let mut file = BufWriter::new(for_its_owner().truncate(true).open(&temporary)?);
            let mut changed = false;
            for line in lines(&path)? {
                let line = line?;
                let kept = change(&line);
                changed |= !matches!(kept, Some(Cow::Borrowed(_)));
                if let Some(kept) = kept {
                    file.write_all(&kept)?;
                    file.write_all(b"\n")?;
                }
            }
            if changed {
                file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
                fs::rename(&temporary, &path)?;
            } else {
                fs::remove_file(&temporary)?;
            }
        }
        sync_folder(self.folder())
    }

    /// Opens the file at its end. A last line without an end was cut off by a crash: nobody has a
    /// receipt for it.
    fn open(&self) -> io::Result<File> {
        let mut file = for_its_owner().read(true).append(true).open(&self.path)?;
        if file.seek(SeekFrom::End(0))? > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(file)
    }

    /// Renames `<path>` to `<path>.1`, that to `<path>.2`, and so on.
    fn put_aside(&self) -> io::Result<()> {
        let oldest = self.aside(self.keep);
        if oldest.exists() {
            let file = oldest.display();
            tracing::warn!(%file, "the oldest dead letters are deleted, to make room");
        }
        for number in (1..self.keep).rev() {
            rename(&self.aside(number), &self.aside(number + 1))?;
        }
        rename(&self.path, &self.aside(1))
    }

    fn aside(&self, number: u32) -> PathBuf {
        with_suffix(&self.path, &format!(".{number}"))
    }

    /// The files, the oldest first.
    fn all(&self) -> impl Iterator<Item = PathBuf> {
        let aside = (1..=self.keep).rev().map(|number| self.aside(number));
        aside.chain([self.path.clone()])
    }

    /// Held until it is dropped. A file that was put aside shares the lock of the one that is
    /// written to, for whoever takes letters out of it alone.
    fn lock(&self) -> io::Result<File> {
        let number = self.path.extension().and_then(OsStr::to_str);
        let aside = number.is_some_and(|number| number.parse::<u32>().is_ok());
        let written = if aside { self.path.with_extension("") } else { self.path.clone() };
        let path = with_suffix(&written, ".lock");
        let file = for_its_owner().open(path)?;
        file.lock()?;
        Ok(file)
    }

    fn folder(&self) -> &Path {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new("."))
    }
}

/// Dead letters hold documents: for this user's eyes only.
fn for_its_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o600);
    options
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The lines of a file without their ends, none where there is no file.
fn lines(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>>> {
    let file = match File::open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(file.into_iter().flat_map(|file| BufReader::new(file).split(b'\n')))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// A new name lasts only once its folder is on disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ByteSize;

    fn file(folder: &Path, max_size: u64, keep: u32) -> DeadLetterFile {
        let path = folder.join("letters/dead.jsonl");
        let max_size = ByteSize::from_bytes(max_size);
        DeadLetterFile::new(&DeadLetterFileConfig { path, max_size, keep })
    }

    fn all_lines(file: &DeadLetterFile) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        file.read(|line| {
            all.push(line.to_vec());
            true
        })
        .unwrap();
        all
    }

    fn numbers(range: std::ops::Range<u32>) -> Vec<Bytes> {
        range.map(|number| format!("{{\"n\":{number:04}}}").into()).collect()
    }

    #[test]
    fn it_is_put_aside_by_size_and_the_oldest_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        // Two lines of eleven bytes a file.
        let file = file(folder.path(), 25, 2);
        file.append(&numbers(0..3)).unwrap();
        file.append(&numbers(3..5)).unwrap();
        assert_eq!(all_lines(&file), numbers(0..5));
        file.append(&numbers(5..8)).unwrap();
        assert_eq!(all_lines(&file), numbers(2..8));
        assert_eq!(
            lines(&file.aside(1)).unwrap().collect::<io::Result<Vec<_>>>().unwrap(),
            numbers(4..6)
        );
        assert!(!file.aside(3).exists());
    }

    #[test]
    fn a_file_that_was_put_aside_shares_the_lock_of_the_one_that_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let written = file(folder.path(), 25, 5);
        written.append(&numbers(0..5)).unwrap();
        let config = DeadLetterFileConfig {
            path: written.aside(1),
            max_size: ByteSize::from_bytes(25),
            keep: 5,
        };
        let aside = DeadLetterFile::new(&config);
        let held = written.lock().unwrap();
        assert!(
            File::open(folder.path().join("letters/dead.jsonl.lock")).unwrap().try_lock().is_err()
        );
        drop(held);
        drop(aside.lock().unwrap());
        assert!(!folder.path().join("letters/dead.jsonl.1.lock").exists());
    }

    #[test]
    fn what_is_done_is_taken_out_of_all_files_and_what_is_left_may_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path(), 25, 5);
        file.append(&numbers(0..5)).unwrap();
        let done = numbers(1..4);
        file.rewrite(|line| match line {
            line if done.iter().any(|other| other == line) => None,
            line if *line == numbers(4..5)[0] => Some(numbers(9..10)[0].to_vec().into()),
            line => Some(line.into()),
        })
        .unwrap();
        let left = [numbers(0..1), numbers(9..10)].concat();
        assert_eq!(all_lines(&file), left);
        file.append(&numbers(5..6)).unwrap();
        assert_eq!(all_lines(&file).len(), 3);
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path(), 1000, 5);
        file.append(&numbers(0..1)).unwrap();
        file.open().unwrap().write_all(b"{\"n\":00").unwrap();
        file.append(&numbers(1..2)).unwrap();
        let lines = all_lines(&file);
        assert_eq!((lines.len(), &lines[2]), (3, &numbers(1..2)[0].to_vec()));
    }

    #[test]
    fn without_a_file_there_are_no_lines() {
        let folder = tempfile::tempdir().unwrap();
        assert!(all_lines(&file(folder.path(), 1000, 5)).is_empty());
    }
}

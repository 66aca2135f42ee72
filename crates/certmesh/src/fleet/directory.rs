//! The directory with a fleet's kubeconfigs.
//!
//! Only an empty directory, or one that an earlier run has left, is used; only what was made here is removed.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{Fleet, Member};
use crate::failure::Failure;

/// Marks a directory as ours. Locked while a fleet uses it.
const MARKER: &str = ".certmesh-dev";

/// A directory that holds a kubeconfig for each cluster of a running fleet. What was made in it is removed when it is
/// dropped, since the clusters are gone then.
pub struct Directory {
    path: PathBuf,
    is_new: bool,
    made: Vec<PathBuf>,
    /// Holds the lock.
    _marker: File,
}

impl Directory {
    /// Takes the directory, making it if need be.
    pub fn take(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::new(format!("using directory {}", path.display()))
                .because(error)
                .advise("name a directory that you may write to")
        };
        let is_new = !path.exists();
        if is_new {
            make_private_directory(path).map_err(failed)?;
        }
        check_is_ours(
            path,
            &fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?,
        )?;
        let marker = path.join(MARKER);
        let file = File::options().create(true).append(true).open(&marker).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(format!("using directory {}", path.display()))
                    .because("another certmesh uses it at this moment")
                    .advise("stop that one, or name another directory"));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(Self { path: path.to_owned(), is_new, made: vec![marker], _marker: file })
    }

    /// Where a cluster's kubeconfig is.
    pub fn kubeconfig(&self, cluster: &Member) -> PathBuf {
        self.path.join(format!("{}.kubeconfig", cluster.name()))
    }

    /// Opens a file of this name for appending.
    pub fn append(&mut self, name: &str) -> Result<File, Failure> {
        let path = self.path.join(name);
        let file = File::options().create(true).append(true).open(&path);
        self.made.push(path.clone());
        file.map_err(|error| Failure::new(format!("opening {}", path.display())).because(error))
    }

    /// Writes the administrator's kubeconfig of every cluster, readable for the owner alone. The management cluster's is
    /// the last: once it is there, all are.
    pub fn write_kubeconfigs(&mut self, fleet: &Fleet) -> Result<(), Failure> {
        for member in fleet.remotes().iter().chain([fleet.management()]) {
            let file = self.kubeconfig(member);
            self.made.push(file.clone());
            member.admin_kubeconfig()?.write(&file).map_err(|error| {
                Failure::new(format!("writing {}", file.display()))
                    .because(error)
                    .advise("see that the directory may be written to and the disk is not full")
            })?;
        }
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is gone already need not be removed, and what cannot be removed is no reason to fail at the end.
        for file in &self.made {
            let _ = fs::remove_file(file);
        }
        if self.is_new {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

fn check_is_ours(path: &Path, entries: &[fs::DirEntry]) -> Result<(), Failure> {
    let is_marker = |entry: &fs::DirEntry| entry.file_name() == MARKER;
    if entries.is_empty() || entries.iter().any(is_marker) {
        return Ok(());
    }
    let mut names: Vec<String> =
        entries.iter().take(3).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Err(Failure::new(format!("using directory {}", path.display()))
        .because(format!(
            "it is not empty and was not made by certmesh: it holds {} and so on",
            names.join(", ")
        ))
        .advise("name a new or an empty directory"))
}

fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_made_and_removed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let directory = Directory::take(&path).unwrap();
        assert!(path.join(MARKER).exists());
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let foreign = tempfile::tempdir().unwrap();
        fs::write(foreign.path().join("notes.txt"), "mine").unwrap();
        let failure = Directory::take(foreign.path()).err().map(|failure| failure.to_string());
        assert_eq!(failure, Some(format!("using directory {}", foreign.path().display())));
        assert_eq!(fs::read_dir(foreign.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_put_into_ours_stays() {
        let ours = tempfile::tempdir().unwrap();
        let directory = Directory::take(ours.path()).unwrap();
        fs::write(ours.path().join("notes.txt"), "mine").unwrap();
        drop(directory);
        assert_eq!(fs::read_to_string(ours.path().join("notes.txt")).unwrap(), "mine");
        assert!(!ours.path().join(MARKER).exists());
    }

    #[test]
    fn a_directory_serves_one_fleet_at_a_time_and_a_crash_is_forgiven() {
        let ours = tempfile::tempdir().unwrap();
        let first = Directory::take(ours.path()).unwrap();
        assert!(Directory::take(ours.path()).is_err());
        // As after a crash: the marker is there, the lock is not.
        fs::write(ours.path().join("cluster-1.kubeconfig"), "old").unwrap();
        drop(first);
        fs::write(ours.path().join(MARKER), "").unwrap();
        assert!(Directory::take(ours.path()).is_ok());
    }
}

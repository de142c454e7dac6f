//! The store: opening, handing operations to the committer, reading beside it, closing.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use fjall::PersistMode;
use minutehand_model::{PartitionId, SetAside, Timestamp};
use minutehand_ports::{ErrorClass, PortError};
use tokio::sync::{oneshot, watch};

use crate::committer::{Committer, Operation};
use crate::config::{Clock, Config, OpenError};
use crate::damage::Corruption;
use crate::failure::Failure;
use crate::load::{has_whole_index, load};
use crate::private;
use crate::queue::tell_last_words;
use crate::quiet::Quiet;
use crate::repair;
use crate::scan::{self, Lost};
use crate::shared::{Health, Shared};
use crate::spaces::Spaces;
use crate::state::State;
use crate::survey::{self, DATABASE, Inventory};
use crate::threads::{Readers, Unread, apart};
use crate::writes::{Finish, Writes};

/// An operation that was applied: the answer, and what else happens when the commit is durable.
pub(crate) struct Applied<T> {
    answer: T,
    then: Option<Finish>,
}

impl<T> Applied<T> {
    /// Nothing else happens.
    pub(crate) fn now(answer: T) -> Applied<T> {
        Applied { answer, then: None }
    }

    /// Something else happens, before the answer is given.
    pub(crate) fn then(answer: T, then: impl FnOnce() + Send + 'static) -> Applied<T> {
        Applied {
            answer,
            then: Some(Box::new(then)),
        }
    }
}

/// Every port on one database.
pub struct EmbeddedStore {
    operations: Mutex<Option<Sender<Operation>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
    readers: Readers,
    is_being_asked: Arc<AtomicBool>,
    spaces: Spaces,
    shared: Arc<Shared>,
    confirmed_at: watch::Receiver<Timestamp>,
    assigned: watch::Sender<BTreeSet<PartitionId>>,
    now: Clock,
    task_index: bool,
    /// It has been on since the folder was made.
    pub(crate) has_whole_index: bool,
    /// Held for as long as the store is open.
    _lock: File,
}

/// A caller that has waited this long asks whether the database still works.
const PATIENCE: Duration = Duration::from_secs(5);

impl EmbeddedStore {
    /// Opens a data folder, creating it when it is missing.
    pub fn open(config: Config) -> Result<Arc<EmbeddedStore>, OpenError> {
        const PARTITIONS_MAX: u32 = 4_096;
        if !(1..=PARTITIONS_MAX).contains(&config.partitions) {
            return Err(OpenError::Partitions {
                given: config.partitions,
                high: PARTITIONS_MAX,
            });
        }
        let lock = lock(&config.data_dir)?;
        let failed = |source| OpenError::Folder {
            folder: config.data_dir.clone(),
            source,
        };
        private::tighten(&config.data_dir.join(DATABASE)).map_err(failed)?;
        private::for_this_user_alone(|| EmbeddedStore::open_locked(&config, lock))
            .map_err(failed)?
    }

    fn open_locked(config: &Config, lock: File) -> Result<Arc<EmbeddedStore>, OpenError> {
        let failed = |source| OpenError::Folder {
            folder: config.data_dir.clone(),
            source,
        };
        repair::resume(&config.data_dir).map_err(failed)?;
        let mut damage = survey::look(&config.data_dir)?;
        damage.extend(repair::if_in_doubt(config)?);
        let folder = config.data_dir.clone();
        let spaces = Spaces::open(&folder.join(DATABASE), config).map_err(|error| match error {
            fjall::Error::Locked => OpenError::InUse { folder },
            // A file may be missing because it could not be written.
            full if Failure::of(&full, &folder).is_full => OpenError::Full {
                folder,
                source: Box::new(full),
            },
            other => survey::culprit(&folder).unwrap_or(OpenError::Database {
                folder,
                source: Box::new(other),
            }),
        })?;
        let mut state = load(config, spaces.clone())?;
        let has_whole_index = has_whole_index(config, &spaces)?;
        let shared = Arc::clone(&state.shared);
        damage
            .into_iter()
            .for_each(|damage| shared.note_corruption(damage.position, damage.reason));
        let lost = tell_last_words(&mut state);
        lost.map_err(|source| OpenError::Database {
            folder: config.data_dir.clone(),
            source: Box::new(source),
        })?;
        let inventory = Inventory::taken(&config.data_dir).map_err(failed)?;
        inventory.write(&config.data_dir).map_err(failed)?;
        let (sender, operations) = channel();
        let (confirmed, confirmed_at) = watch::channel((config.now)());
        let quiet = Quiet::since((config.now)());
        let committer = Committer {
            state,
            operations,
            confirmed_at: confirmed,
            now: config.now.clone(),
            quiet,
        };
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run())
            .map_err(failed)?;
        let readers = Readers::start().map_err(failed)?;
        Ok(Arc::new(EmbeddedStore {
            operations: Mutex::new(Some(sender)),
            committer: Mutex::new(Some(thread)),
            readers,
            is_being_asked: Arc::default(),
            spaces,
            shared,
            confirmed_at,
            now: config.now.clone(),
            assigned: watch::Sender::new((0..config.partitions).map(PartitionId::own).collect()),
            task_index: config.task_index,
            has_whole_index,
            _lock: lock,
        }))
    }

    /// How many partitions the folder was created with.
    pub fn partitions(&self) -> u32 {
        u32::try_from(self.shared.logs.len())
            .expect("the count was checked when the store was opened")
    }

    /// Whether it takes writes.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Damaged rows that were met and passed over since the store was opened.
    pub fn corruptions(&self) -> Vec<Corruption> {
        self.shared.corruptions()
    }

    /// Records that ticks of a partition have set aside, oldest first.
    pub async fn set_aside(
        &self,
        partition: PartitionId,
        count_max: usize,
    ) -> Result<Vec<SetAside>, PortError> {
        let (spaces, shared) = (self.spaces.clone(), Arc::clone(&self.shared));
        let read = move || -> fjall::Result<Vec<SetAside>> {
            let lost = |lost: Lost| {
                shared.note_lost(&format!("set aside by partition {partition}"), &lost)
            };
            let rows =
                scan::prefixed(&spaces.set_aside, partition.bits().to_be_bytes()).readable(lost);
            let rows = rows.take(count_max).collect::<fjall::Result<Vec<_>>>()?;
            let decode =
                |value: fjall::UserValue| minutehand_record::set_aside::decode(&value.into()).ok();
            Ok(rows
                .into_iter()
                .filter_map(|(_, value)| decode(value))
                .collect())
        };
        self.read(
            &format!("list what partition {partition} has set aside"),
            read,
        )
        .await
    }

    /// Stops taking writes and waits until everything accepted is on disk. Dropping the store does
    /// the same.
    pub fn close(&self) {
        drop(
            self.operations
                .lock()
                .expect("nothing panics while it holds this lock")
                .take(),
        );
        let thread = self
            .committer
            .lock()
            .expect("nothing panics while it holds this lock")
            .take();
        if let Some(thread) = thread {
            // A committer that panicked has left its callers unanswered; they know.
            drop(thread.join());
            self.shared.close(Failure::new("it was shut down"));
        }
    }

    /// The same where waiting must not hold up others: the work is done on a thread of its own.
    pub async fn close_apart(self: Arc<Self>) {
        // No answer means that the thread could not be started; then the store is closed when it is
        // dropped.
        apart("store-closer", move || self.close()).await.ok();
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.now)()
    }

    pub(crate) fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    pub(crate) fn has_task_index(&self) -> bool {
        self.task_index
    }

    pub(crate) fn assigned(&self) -> &watch::Sender<BTreeSet<PartitionId>> {
        &self.assigned
    }

    pub(crate) fn confirmed(&self) -> &watch::Receiver<Timestamp> {
        &self.confirmed_at
    }

    /// Hands an operation to the committer; answers when it is durable, or when it was refused.
    ///
    /// `bytes` is about what it writes; `reads_rows` must be set when it looks at rows that other
    /// operations write.
    pub(crate) async fn submit<T: Send + 'static>(
        &self,
        action: String,
        bytes: usize,
        reads_rows: bool,
        operation: impl FnOnce(&mut State, &mut Writes) -> Result<Applied<T>, PortError>
        + Send
        + 'static,
    ) -> Result<T, PortError> {
        self.shared.check_open(&action)?;
        let (sender, receiver) = oneshot::channel();
        let apply = move |state: &mut State, writes: &mut Writes| -> Finish {
            match operation(state, writes) {
                Err(error) => Box::new(move || drop(sender.send(Err(error)))),
                Ok(Applied { answer, then }) => Box::new(move || {
                    if let Some(then) = then {
                        then();
                    }
                    drop(sender.send(Ok(answer)));
                }),
            }
        };
        if !self.hand_over(Operation {
            reads_rows,
            bytes,
            apply: Box::new(apply),
        }) {
            return Err(self.shared.refusal(&action));
        }
        self.answer(receiver, &action).await
    }

    /// The same for an operation that nobody waits for.
    pub(crate) fn submit_unheard(
        &self,
        bytes: usize,
        reads_rows: bool,
        operation: impl FnOnce(&mut State, &mut Writes) -> Applied<()> + Send + 'static,
    ) {
        let apply = move |state: &mut State, writes: &mut Writes| -> Finish {
            operation(state, writes)
                .then
                .unwrap_or_else(|| Box::new(|| {}))
        };
        self.hand_over(Operation {
            reads_rows,
            bytes,
            apply: Box::new(apply),
        });
    }

    /// Whether the committer will see an operation: not when the store is closed.
    fn hand_over(&self, operation: Operation) -> bool {
        let operations = self
            .operations
            .lock()
            .expect("nothing panics while it holds this lock");
        operations
            .as_ref()
            .is_some_and(|operations| operations.send(operation).is_ok())
    }

    /// Waits for the committer. When the database has failed in the background, the committer may
    /// hang in it for ever: then the caller is told, and the store closes.
    async fn answer<T>(
        &self,
        mut receiver: oneshot::Receiver<Result<T, PortError>>,
        action: &str,
    ) -> Result<T, PortError> {
        loop {
            match tokio::time::timeout(PATIENCE, &mut receiver).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(_)) => return Err(self.shared.refusal(action)),
                Err(_) => {
                    self.shared.check_open(action)?;
                    self.ask_whether_it_works();
                }
            }
        }
    }

    /// Asks the database whether it has failed in the background. It may not answer for as long as
    /// its disk hangs, so nobody waits for it, and it is not asked again before it has answered.
    fn ask_whether_it_works(&self) {
        if self.is_being_asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let (database, shared, is_being_asked) = (
            self.spaces.database.clone(),
            Arc::clone(&self.shared),
            Arc::clone(&self.is_being_asked),
        );
        drop(apart("store-watcher", move || {
            if let Err(error) = database.persist(PersistMode::Buffer) {
                shared.close(Failure::of(&error, &shared.folder));
            }
            is_being_asked.store(false, Ordering::Release);
        }));
    }

    /// Reads rows on the store's own threads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        action: &str,
        read: impl FnOnce() -> fjall::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        let failed = |reason: String| PortError::new(ErrorClass::Retry, action, reason);
        match self.readers.read(read).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let folder = self.shared.folder.display();
                if !scan::is_lasting(&error) {
                    return Err(failed(format!("the database in {folder} failed")).caused_by(error));
                }
                let reason =
                    format!("the database in {folder} is damaged; restore the folder from a copy");
                Err(PortError::new(ErrorClass::Fatal, action, reason).caused_by(error))
            }
            Err(Unread::Busy) => Err(failed("the store is busy with other reads".to_owned())),
            Err(Unread::Stopped) => Err(failed("the reading stopped half way".to_owned())),
        }
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore")
            .field("folder", &self.shared.folder)
            .finish_non_exhaustive()
    }
}

/// Creates the folder and makes it this process's own.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let failed = |source: std::io::Error| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    private::create_folder(folder).map_err(failed)?;
    let file = private::open_file(&folder.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

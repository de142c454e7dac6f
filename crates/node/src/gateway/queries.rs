//! What gateways ask the owners of partitions, wherever they run: each query once, with what an
//! owner answers. How one is sent stands in `crates/peers/src/wire.rs`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use minutehand_engine::{KnownSchedule, KnownTask, Partition};
use minutehand_model::{Namespace, PartitionId, Place, ScheduleId, TaskKey, Timestamp};
use tokio::sync::watch;

use crate::owner::{OwnerStatus, Owners};

/// Owners that can be asked.
#[async_trait]
pub trait OwnerQueries: Send + Sync + 'static {
    /// The number of partitions.
    fn partitions(&self) -> u32;

    /// The partitions assigned here, and how far each of them is.
    fn statuses(&self) -> Vec<(PartitionId, OwnerStatus)>;

    /// A partition's status, kept up to date.
    fn status(&self, partition: PartitionId) -> Option<watch::Receiver<OwnerStatus>>;

    /// Puts any query to a partition's owner. `None`: there is no owner here, or it has stopped.
    async fn put(&self, partition: PartitionId, query: OwnerQuery) -> Option<OwnerReply>;
}

impl dyn OwnerQueries {
    /// Asks a partition's owner. `None`: there is no owner here, or it has stopped.
    pub async fn ask<Q: Query>(&self, partition: PartitionId, query: Q) -> Option<Q::Reply> {
        Q::reply(self.put(partition, query.into_any()).await?)
    }
}

#[async_trait]
impl OwnerQueries for Owners {
    fn partitions(&self) -> u32 {
        Owners::partitions(self)
    }

    fn statuses(&self) -> Vec<(PartitionId, OwnerStatus)> {
        self.all()
    }

    fn status(&self, partition: PartitionId) -> Option<watch::Receiver<OwnerStatus>> {
        self.owner(partition).map(|owner| owner.status())
    }

    async fn put(&self, partition: PartitionId, query: OwnerQuery) -> Option<OwnerReply> {
        let owner = self.owner(partition)?;
        owner.ask(move |engine| query.answer(engine)).await
    }
}

/// A query of one kind.
pub trait Query: Send + Sized {
    /// What answers it.
    type Reply;

    /// One of all kinds.
    fn into_any(self) -> OwnerQuery;

    /// Its reply, if that is one.
    fn reply(any: OwnerReply) -> Option<Self::Reply>;
}

/// Makes each kind of query a type, and one type of all of them.
macro_rules! queries {
    ($(
        $(#[doc = $about:literal])+
        $name:ident { $($(#[doc = $of_field:literal])+ $field:ident: $kind:ty,)+ } -> $reply:ty
            = |$engine:ident| $answer:expr;
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $name {
                $($(#[doc = $of_field])+ pub $field: $kind,)+
            }

            impl $name {
                fn answer(self, $engine: &Partition) -> $reply {
                    let $name { $($field,)+ } = self;
                    $answer
                }
            }

            impl Query for $name {
                type Reply = $reply;

                fn into_any(self) -> OwnerQuery {
                    OwnerQuery::$name(self)
                }

                fn reply(any: OwnerReply) -> Option<$reply> {
                    match any {
                        OwnerReply::$name(reply) => Some(reply),
                        _ => None,
                    }
                }
            }
        )+

        /// A query of any kind.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum OwnerQuery {
            $($(#[doc = $about])+ $name($name),)+
        }

        /// The reply to a query, by the name of its kind.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum OwnerReply {
            $($(#[doc = $about])+ $name($reply),)+
        }

        impl OwnerQuery {
            /// What a partition answers.
            fn answer(self, engine: &Partition) -> OwnerReply {
                match self {
                    $(OwnerQuery::$name(query) => OwnerReply::$name(query.answer(engine)),)+
                }
            }
        }
    };
}

queries! {
    /// What is in memory of each task, in the order asked.
    FindTasks {
        /// Their fingerprints.
        keys: Vec<TaskKey>,
    } -> Vec<Vec<KnownTask>>
        = |engine| keys.into_iter().map(|key| engine.find(key)).collect();

    /// Tasks in memory that are to run, in order of their places.
    ListTasks {
        /// Behind this place.
        after: Option<Place>,
        /// Due before this time.
        until: Timestamp,
        /// At most so many.
        count_max: usize,
    } -> Vec<KnownTask>
        = |engine| engine.list(after, until, count_max);

    /// Tasks in memory by the minute they are due, not counting those that stand in the timetable.
    CountTasks {
        /// From this minute on.
        from: Timestamp,
        /// Before this one.
        until: Timestamp,
    } -> BTreeMap<Timestamp, u64>
        = |engine| engine.loads(from, until);

    /// One schedule, if there is one.
    FindSchedule {
        /// The name space of its id.
        namespace: Namespace,
        /// Its id.
        id: ScheduleId,
    } -> Option<Box<KnownSchedule>>
        = |engine| engine.schedule(&namespace, &id).map(Box::new);

    /// Schedules of a namespace in order of their ids.
    ListSchedules {
        /// The name space.
        namespace: Namespace,
        /// Behind this id.
        after: Option<ScheduleId>,
        /// Whose ids begin with this.
        prefix: String,
        /// At most so many.
        count_max: usize,
    } -> Vec<KnownSchedule>
        = |engine| engine.schedules(&namespace, after.as_ref(), &prefix, count_max);
}

impl OwnerQuery {
    /// Whether something can be the reply to this query.
    pub fn fits(&self, reply: &OwnerReply) -> bool {
        match (self, reply) {
            (OwnerQuery::FindTasks(query), OwnerReply::FindTasks(found)) => {
                query.keys.len() == found.len()
            }
            _ => true,
        }
    }
}

/* What else a loop does, on libuv: posts from another thread, timers, files. */

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* --- Posts: a locked queue and a uv_async_t, as libuv's documentation says: one wake-up may stand for many sends. --- */

struct inbox {
  uv_loop_t loop;
  uv_async_t bell;
  uv_mutex_t lock;
  uint64_t *values, *taken;
  size_t count, room, taken_room;
  int (*take)(void *, uint64_t);
  void *context;
  int done;
};

static void on_bell(uv_async_t *bell) {
  struct inbox *inbox = bell->data;
  uv_mutex_lock(&inbox->lock);
  uint64_t *values = inbox->values;
  size_t count = inbox->count, room = inbox->room;
  inbox->values = inbox->taken;
  inbox->room = inbox->taken_room;
  inbox->count = 0;
  uv_mutex_unlock(&inbox->lock);
  for (size_t place = 0; place < count && !inbox->done; place++)
    inbox->done = inbox->take(inbox->context, values[place]);
  inbox->taken = values;
  inbox->taken_room = room;
  if (inbox->done)
    uv_close((uv_handle_t *)bell, NULL);
}

/* A new inbox, opened by the thread that will receive. NULL: there is none to be had. */
struct inbox *anyport_bench_uv_inbox(void) {
  struct inbox *inbox = calloc(1, sizeof *inbox);
  if (inbox == NULL || uv_loop_init(&inbox->loop) < 0 || uv_async_init(&inbox->loop, &inbox->bell, on_bell) < 0 ||
      uv_mutex_init(&inbox->lock) < 0)
    return NULL;
  inbox->bell.data = inbox;
  return inbox;
}

/* Posts from any thread. */
int anyport_bench_uv_post(struct inbox *inbox, uint64_t value) {
  uv_mutex_lock(&inbox->lock);
  if (inbox->count == inbox->room) {
    inbox->room = inbox->room ? 2 * inbox->room : 1024;
    inbox->values = realloc(inbox->values, inbox->room * sizeof *inbox->values);
  }
  inbox->values[inbox->count++] = value;
  uv_mutex_unlock(&inbox->lock);
  return uv_async_send(&inbox->bell);
}

/* Receives until `take` says that it was the last. */
int anyport_bench_uv_receive(struct inbox *inbox, int (*take)(void *, uint64_t), void *context) {
  inbox->take = take;
  inbox->context = context;
  return uv_run(&inbox->loop, UV_RUN_DEFAULT);
}

/* When neither end is in use any more. */
void anyport_bench_uv_inbox_free(struct inbox *inbox) {
  uv_loop_close(&inbox->loop);
  uv_mutex_destroy(&inbox->lock);
  free(inbox->values);
  free(inbox->taken);
  free(inbox);
}

/* --- Timers --- */

struct timers {
  uv_loop_t loop;
  uv_timer_t *timers;
  size_t count;
  uint64_t *late;
  const uint64_t *deadlines;
  size_t fired;
};

static void never(uv_timer_t *timer) { (void)timer; }

/* `count` timers, none of them started. */
struct timers *anyport_bench_uv_timers(size_t count) {
  struct timers *timers = calloc(1, sizeof *timers);
  timers->timers = calloc(count, sizeof *timers->timers);
  timers->count = count;
  uv_loop_init(&timers->loop);
  for (size_t place = 0; place < count; place++) {
    uv_timer_init(&timers->loop, &timers->timers[place]);
    timers->timers[place].data = timers;
  }
  return timers;
}

/* Starts one for so many milliseconds. */
int anyport_bench_uv_timer_start(struct timers *timers, size_t place, uint64_t after) {
  return uv_timer_start(&timers->timers[place], never, after, 0);
}

int anyport_bench_uv_timer_stop(struct timers *timers, size_t place) { return uv_timer_stop(&timers->timers[place]); }

static void fired(uv_timer_t *timer) {
  struct timers *timers = timer->data;
  uint64_t now = uv_hrtime(), deadline = timers->deadlines[timer - timers->timers];
  timers->late[timers->fired++] = now > deadline ? now - deadline : 0;
}

/* Starts all and lets them fire. Deadlines are in nanoseconds of the system's monotonic clock, rounded up to the
   milliseconds that libuv has. `late` gets how late each was. Returns how many fired. */
size_t anyport_bench_uv_timers_fire(struct timers *timers, const uint64_t *deadlines, uint64_t *late) {
  timers->deadlines = deadlines;
  timers->late = late;
  timers->fired = 0;
  for (size_t place = 0; place < timers->count; place++) {
    uv_update_time(&timers->loop);
    uint64_t now = uv_now(&timers->loop), at = (deadlines[place] + 999999) / 1000000;
    uv_timer_start(&timers->timers[place], fired, at > now ? at - now : 0, 0);
  }
  uv_run(&timers->loop, UV_RUN_DEFAULT);
  return timers->fired;
}

void anyport_bench_uv_timers_free(struct timers *timers) {
  for (size_t place = 0; place < timers->count; place++)
    uv_close((uv_handle_t *)&timers->timers[place], NULL);
  uv_run(&timers->loop, UV_RUN_DEFAULT);
  uv_loop_close(&timers->loop);
  free(timers->timers);
  free(timers);
}

/* --- Files: on libuv's pool of threads --- */

struct reads {
  uv_loop_t loop;
  uv_file file;
  int64_t (*next)(void *);
  int (*check)(void *, uint64_t, const char *, size_t);
  void *context;
  int status;
};

struct read {
  uv_fs_t request;
  struct reads *reads;
  uint64_t block;
  char *bytes;
};

enum { BLOCK = 4096 };

static void on_block(uv_fs_t *request);

static void read_next(struct read *read) {
  int64_t block = read->reads->status < 0 ? -1 : read->reads->next(read->reads->context);
  if (block < 0)
    return;
  read->block = (uint64_t)block;
  uv_buf_t buffer = uv_buf_init(read->bytes, BLOCK);
  int status = uv_fs_read(&read->reads->loop, &read->request, read->reads->file, &buffer, 1, block * BLOCK, on_block);
  if (status < 0)
    read->reads->status = status;
}

static void on_block(uv_fs_t *request) {
  struct read *read = (struct read *)request;
  ssize_t result = request->result;
  uv_fs_req_cleanup(request);
  if (result < 0)
    read->reads->status = (int)result;
  else if (!read->reads->check(read->reads->context, read->block, read->bytes, (size_t)result))
    read->reads->status = UV_EIO;
  read_next(read);
}

/* Reads the blocks that `next` names (-1: no more), `depth` of them at a time. */
int anyport_bench_uv_reads(int file, size_t depth, int64_t (*next)(void *),
                           int (*check)(void *, uint64_t, const char *, size_t), void *context) {
  struct reads reads = {.file = file, .next = next, .check = check, .context = context};
  int status = uv_loop_init(&reads.loop);
  if (status < 0)
    return status;
  struct read *all = calloc(depth, sizeof *all);
  for (size_t place = 0; place < depth; place++) {
    all[place].reads = &reads;
    all[place].bytes = aligned_alloc(BLOCK, BLOCK);
    read_next(&all[place]);
  }
  uv_run(&reads.loop, UV_RUN_DEFAULT);
  for (size_t place = 0; place < depth; place++)
    free(all[place].bytes);
  free(all);
  uv_loop_close(&reads.loop);
  return reads.status;
}

struct journal {
  uv_loop_t loop;
  uv_fs_t request;
  uv_file file;
  char *bytes;
  int64_t (*next)(void *);
  void *context;
  int status;
};

static void on_synced(uv_fs_t *request);

static void on_appended(uv_fs_t *request) {
  struct journal *journal = request->data;
  ssize_t result = request->result;
  uv_fs_req_cleanup(request);
  if (result != BLOCK)
    journal->status = result < 0 ? (int)result : UV_EIO;
  else
    journal->status = uv_fs_fdatasync(&journal->loop, request, journal->file, on_synced);
}

static void append_next(struct journal *journal) {
  int64_t at = journal->next(journal->context);
  if (at < 0)
    return;
  uv_buf_t buffer = uv_buf_init(journal->bytes, BLOCK);
  journal->status = uv_fs_write(&journal->loop, &journal->request, journal->file, &buffer, 1, at, on_appended);
}

static void on_synced(uv_fs_t *request) {
  struct journal *journal = request->data;
  ssize_t result = request->result;
  uv_fs_req_cleanup(request);
  if (result < 0)
    journal->status = (int)result;
  else
    append_next(journal);
}

/* Writes a block at each offset that `next` names (-1: no more), and syncs the file before the next one. */
int anyport_bench_uv_journal(int file, int64_t (*next)(void *), void *context) {
  struct journal journal = {.file = file, .next = next, .context = context};
  int status = uv_loop_init(&journal.loop);
  if (status < 0)
    return status;
  journal.request.data = &journal;
  journal.bytes = calloc(1, BLOCK);
  append_next(&journal);
  uv_run(&journal.loop, UV_RUN_DEFAULT);
  free(journal.bytes);
  uv_loop_close(&journal.loop);
  return journal.status;
}

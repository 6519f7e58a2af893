// Jobs of a service that is killed in the middle: nothing is lost, and the next one goes on.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "api/service/job_runner.h"
#include "api/service/job_store.h"
#include "tests/api/service_fixture.h"

namespace rewrap {
namespace {

// Host is a service in another process (service_host.cc).
class Host {
 public:
  explicit Host(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), REWRAP_SERVICE_HOST);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    EXPECT_EQ(pipe(in.data()), 0);
    EXPECT_EQ(pipe(out.data()), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    for (const int fd : {in[0], in[1], out[0], out[1]})
      posix_spawn_file_actions_addclose(&actions, fd);
    EXPECT_EQ(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    in_ = in[1];
    out_ = fdopen(out[0], "r");
  }
  ~Host() {
    kill_now();
    fclose(out_);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  std::string read_line() {
    std::string line;
    for (int c = fgetc(out_); c != EOF && c != '\n'; c = fgetc(out_))
      line.push_back(static_cast<char>(c));
    return line;
  }
  void kill_now() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      close(in_);
    }
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  int in_ = -1;
  FILE* out_ = nullptr;
};

class JobsCrash : public ServiceFixture {
 protected:
  // wait_in_database polls a job of another process.
  Job wait_in_database(const Uuid& uuid, const std::function<bool(const Job&)>& wanted) {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    Job job;
    for (int i = 0; i < 6000; ++i) {
      const Status status = db->read([&](Database& database) -> Status {
        REWRAP_ASSIGN(job, find_job(&database, uuid));
        return {};
      });
      EXPECT_TRUE(status.ok()) << status.describe();
      if (wanted(job)) return job;
      usleep(10'000);
    }
    ADD_FAILURE() << "the job is still " << job_state_name(job.state);
    return job;
  }
  static Uuid uuid_of(const std::string& text) {
    Uuid uuid{};
    EXPECT_TRUE(parse_uuid(text, &uuid)) << text;
    return uuid;
  }
  template <typename Rule>
  Job ask(const Rule& rule) {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    std::optional<Answer<Job>> answer;
    EXPECT_TRUE(db->write([&](Database& database) -> Status {
                    answer.emplace(rule(&database));
                    return {};
                  }).ok());
    return ok_value(*answer);
  }
};

TEST_F(JobsCrash, AKilledServiceIsGoneOnWith) {
  Uuid uuid{};
  {
    Host host({options_.store_directory, "--rekey", kName, "2500"});
    uuid = uuid_of(host.read_line());
    wait_in_database(uuid, [](const Job& job) { return job.progress.done != 0; });
    host.kill_now();
  }
  // Between the two the record says what was true last.
  const Job left = wait_in_database(uuid, [](const Job&) { return true; });
  EXPECT_EQ(left.state, JobState::kRunning);
  EXPECT_EQ(left.from_version, 1U);
  EXPECT_EQ(left.to_version, 2U);
  EXPECT_FALSE(ok_value(RunnerLock::is_served(options_.store_directory)));
  start();
  EXPECT_EQ(ok_value(service_->jobs().list({})).size(), 1U);
  ok_value(service_->jobs().set_rate(uuid, 0, caller()));
  const Job ended = finish(uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded) << ended.error.message;
  EXPECT_EQ(ended.handle, 1);
  EXPECT_EQ(ended.started_at, left.started_at);
  expect_keyset(2);
}

// Killed again and again, at whatever moment: one new KEK, no DEK lost.
TEST_F(JobsCrash, KilledAtAnyMomentItMakesOneNewKek) {
  Uuid uuid{};
  for (int round = 0; round < 5; ++round) {
    std::vector<std::string> arguments{options_.store_directory};
    if (round == 0) arguments.insert(arguments.end(), {"--rekey", kName, "20000"});
    Host host(arguments);
    if (round == 0) uuid = uuid_of(host.read_line());
    host.read_line();
    usleep(static_cast<useconds_t>(round) * 30'000);
    host.kill_now();
  }
  start();
  const Job now = job(uuid);
  if (!has_ended(now.state)) ok_value(service_->jobs().set_rate(uuid, 0, caller()));
  EXPECT_EQ(finish(uuid).state, JobState::kSucceeded);
  expect_keyset(2);
}

// What is asked while nobody runs the job is granted by the next service.
TEST_F(JobsCrash, ACancelOfAKilledServicesJobIsGrantedLater) {
  Uuid uuid{};
  {
    Host host({options_.store_directory, "--rekey", kName, "2500"});
    uuid = uuid_of(host.read_line());
    wait_in_database(uuid, [](const Job& job) { return job.progress.done != 0; });
  }
  EXPECT_EQ(ask([&](Database* db) { return request_cancel(db, uuid, 1); }).request,
            JobRequest::kCancel);
  start();
  EXPECT_EQ(job(uuid).state, JobState::kCancelled);
}

TEST_F(JobsCrash, AnotherProcessPausesResumesThrottlesAndCancels) {
  Host host({options_.store_directory, "--rekey", kName, "2500"});
  const Uuid uuid = uuid_of(host.read_line());
  const auto wait_for = [&](JobState state) {
    return wait_in_database(uuid, [&](const Job& job) { return job.state == state; });
  };
  wait_in_database(uuid, [](const Job& job) { return job.progress.done != 0; });
  ask([&](Database* db) { return request_pause(db, uuid, 1); });
  const Job paused = wait_for(JobState::kPaused);
  EXPECT_EQ(paused.request, JobRequest::kNone);
  ask([&](Database* db) { return request_rate(db, uuid, 1); });
  ask([&](Database* db) { return request_resume(db, uuid, 1); });
  wait_for(JobState::kRunning);
  ask([&](Database* db) { return request_rate(db, uuid, 0); });
  EXPECT_EQ(wait_for(JobState::kSucceeded).progress.done, kNumDeks);
}

}  // namespace
}  // namespace rewrap

// What NetApp's own clients make of our answers. Each client's rules are written down as a function;
// a table of answers, good ones and bad ones, with what the real client does checks these first.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "tests/api/ontap_fake.h"

namespace rewrap::test {
namespace {

const std::string kConfigured = "/api/security/aws-kms/" + test_uuid_text(0x11);
const std::string kRekey = kConfigured + "/rekey-internal";

// What a client does with the answer to a POST.
enum class Takes : std::uint8_t {
  kDone,     // takes it for success
  kPolls,    // goes to look at the job
  kRefused,  // shows the error's message
  kBreaks,   // a crash, or an error of its own making
};

std::ostream& operator<<(std::ostream& out, Takes takes) {
  constexpr std::array kNames = {"done", "polls", "refused", "breaks"};
  return out << kNames[static_cast<std::size_t>(takes)];
}

bool has_json(const TestAnswer& answer) { return answer.response.body.starts_with("{"); }
bool has_link(const TestAnswer& answer) {
  return answer.at("job._links.self.href").find("api/") != std::string::npos;
}
Takes refused(const TestAnswer& answer) {
  return answer.at("error.message").size() > 2 && !answer.error_code().empty() ? Takes::kRefused
                                                                               : Takes::kBreaks;
}

Takes old_python(const TestAnswer& answer) {
  if (!has_json(answer)) return Takes::kBreaks;
  if (answer.status >= 400) return refused(answer);
  if (has_link(answer)) return Takes::kPolls;
  return answer.status == 202 ? Takes::kBreaks : Takes::kDone;
}
Takes python(const TestAnswer& answer) {
  if (answer.status < 400 && answer.status != 202 && answer.response.body.empty())
    return Takes::kDone;
  return old_python(answer);
}
Takes ansible_without_waiting(const TestAnswer& answer) {
  return answer.status >= 400 ? refused(answer) : Takes::kDone;
}
Takes ansible(const TestAnswer& answer) {
  if (answer.status >= 400) return refused(answer);
  if (answer.at("job").empty()) return Takes::kDone;
  return has_link(answer) ? Takes::kPolls : Takes::kBreaks;
}
Takes terraform(const TestAnswer& answer) {
  if (!has_json(answer)) return Takes::kBreaks;
  if (answer.status >= 400) return refused(answer);
  return answer.at("job.uuid").empty() ? Takes::kDone : Takes::kPolls;
}
Takes trident(const TestAnswer& answer) {
  if (answer.status >= 400) return refused(answer);
  if (answer.status != 201 && answer.status != 202) return Takes::kBreaks;
  if (!answer.at("job.uuid").empty()) return Takes::kPolls;
  return answer.status == 202 ? Takes::kBreaks : Takes::kDone;
}

struct Client {
  const char* name;
  Takes (*takes)(const TestAnswer& answer);
};
constexpr std::array kClients = {
    Client{"netapp_ontap 9.7", old_python}, Client{"netapp_ontap 9.17", python},
    Client{"Ansible, waiting", ansible},    Client{"Ansible", ansible_without_waiting},
    Client{"Terraform", terraform},         Client{"Trident", trident},
};

// The control: what the clients are known to do with answers that we give, and with such as we must
// not give.
TEST(OntapClientRules, TheirRulesAreThoseOfTheMatrix) {
  constexpr auto kDone = Takes::kDone;
  constexpr auto kPolls = Takes::kPolls;
  constexpr auto kRefused = Takes::kRefused;
  constexpr auto kBreaks = Takes::kBreaks;
  const char* linked = R"({"job":{"uuid":"u","_links":{"self":{"href":"/api/cluster/jobs/u"}}}})";
  const char* bare = R"({"job":{"uuid":"u"}})";
  const char* error = R"({"error":{"message":"m","code":"65537556"}})";
  struct Row {
    int status;
    const char* body;
    std::array<Takes, kClients.size()> takes;
  };
  for (const Row& row : {
           Row{202, linked, {kPolls, kPolls, kPolls, kDone, kPolls, kPolls}},
           Row{202, bare, {kBreaks, kBreaks, kBreaks, kDone, kPolls, kPolls}},
           Row{202, "{}", {kBreaks, kBreaks, kDone, kDone, kDone, kBreaks}},
           Row{201, linked, {kPolls, kPolls, kPolls, kDone, kPolls, kPolls}},
           Row{201, "{}", {kDone, kDone, kDone, kDone, kDone, kDone}},
           Row{201, "", {kBreaks, kDone, kDone, kDone, kBreaks, kDone}},
           Row{200, "{}", {kDone, kDone, kDone, kDone, kDone, kBreaks}},
           Row{409, error, {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused}},
           Row{409, "{}", {kBreaks, kBreaks, kBreaks, kBreaks, kBreaks, kBreaks}},
       }) {
    HttpResponse response;
    response.status = row.status;
    response.body = row.body;
    for (std::size_t i = 0; i < kClients.size(); ++i)
      EXPECT_EQ(kClients[i].takes(test_answer(response)), row.takes[i])
          << kClients[i].name << ": " << row.status << " " << row.body;
  }
}

class OntapClients : public testing::Test, public OntapFixture {
 protected:
  // expect checks what every client does with an answer; one that does not wait is done with any
  // success.
  static void expect(const std::optional<TestAnswer>& answer, int status, Takes takes) {
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, status);
    for (const Client& client : kClients) {
      const bool waits = client.takes != ansible_without_waiting;
      EXPECT_EQ(client.takes(*answer), waits || takes != Takes::kPolls ? takes : Takes::kDone)
          << client.name << ": " << status << " " << answer->response.body;
    }
  }

  // requests are those that the clients send, without or with a return_timeout.
  static std::vector<TestRequest> requests(const std::string& query) {
    const std::string target = kRekey + query;
    std::vector<TestRequest> all;
    const auto add = [&](const char* body, std::vector<HttpHeader> headers) {
      all.push_back({"POST", target, body, "admin", "correct-horse", std::move(headers)});
    };
    add("{}", {{"Content-Type", "application/json"}, {"Accept", "*/*"}, {"X-Dot-Client-App", "x"}});
    add("", {{"Accept", "application/json"}});
    add("{}", {{"Accept", "application/json"}, {"Content-Type", "application/json"}});
    add("", {{"Content-Type", "application/json"}});
    add("", {{"Accept", "application/hal+json"}, {"X-Unknown", "y"}});
    add("", {});
    return all;
  }
};

TEST_F(OntapClients, AllPollAJobThatWasStarted) {
  for (const char* query : {"", "?return_timeout=0", "?return_records=true"})
    for (const TestRequest& request : requests(query)) expect(try_ask(request), 202, Takes::kPolls);
}

TEST_F(OntapClients, AllTakeWhatIsDoneWithinTheirTime) {
  for (const char* query : {"?return_timeout=30", "?return_timeout=60&return_records=true"}) {
    for (const TestRequest& request : requests(query)) {
      EXPECT_FALSE(try_ask(request));
      backend.finish(JobState::kSucceeded);
      expect(answer(), 201, Takes::kPolls);
    }
  }
}

TEST_F(OntapClients, AllPollWhatIsNotDoneWithinTheirTime) {
  for (const TestRequest& request : requests("?return_timeout=30")) {
    EXPECT_FALSE(try_ask(request));
    backend.expire();
    expect(answer(), 202, Takes::kPolls);
  }
}

TEST_F(OntapClients, AllShowTheErrorOfWhatIsRefusedOrFails) {
  for (const TestRequest& request : requests("?return_timeout=30")) {
    backend.next = Failure{Reason::kKeysetEmpty, Status(Errc::kRefused, "no DEK")};
    expect(try_ask(request), 409, Takes::kRefused);
    EXPECT_FALSE(try_ask(request));
    backend.finish(JobState::kFailed, Reason::kTokenLost, "gone");
    expect(answer(), 409, Takes::kRefused);
    TestRequest other = request;
    other.user = "stranger";
    expect(try_ask(other), 401, Takes::kRefused);
    other.user = "reader";
    expect(try_ask(other), 403, Takes::kRefused);
  }
}

// --- The job ------------------------------------------------------------------------------------

// What a client makes of a job that it polls.
enum class Sees : std::uint8_t { kGoingOn, kSuccess, kFailure, kBreaks };

std::ostream& operator<<(std::ostream& out, Sees sees) {
  constexpr std::array kNames = {"going on", "success", "failure", "breaks"};
  return out << kNames[static_cast<std::size_t>(sees)];
}

std::string word(const TestAnswer& job, std::string_view path) {
  const std::string text = job.at(path);
  return text.size() < 2 ? "" : text.substr(1, text.size() - 2);
}
bool goes_on(const std::string& state) {
  return state == "queued" || state == "running" || state == "paused";
}

Sees python_sees(const TestAnswer& job) {
  const std::string state = word(job, "state");
  if (goes_on(state)) return Sees::kGoingOn;
  if (state == "success") return Sees::kSuccess;
  return state == "failure" && !job.at("message").empty() ? Sees::kFailure : Sees::kBreaks;
}
Sees ansible_sees(const TestAnswer& job) {
  const std::string state = word(job, "state");
  if (state == "queued" || state == "running") return Sees::kGoingOn;
  return state == "failure" && !word(job, "message").empty() ? Sees::kFailure : Sees::kSuccess;
}
Sees terraform_sees(const TestAnswer& job) {
  const std::string state = word(job, "state");
  if (state == "success") return Sees::kSuccess;
  const std::string code = job.at("code");
  const bool has_code = !word(job, "error.code").empty() || (!code.empty() && code != "0");
  return !goes_on(state) && has_code ? Sees::kFailure : Sees::kGoingOn;
}
Sees trident_sees(const TestAnswer& job) {
  const std::string state = word(job, "state");
  if (goes_on(state)) return Sees::kGoingOn;
  if (state == "success") return Sees::kSuccess;
  return state == "failure" ? Sees::kFailure : Sees::kBreaks;
}

struct Poller {
  const char* name;
  const char* fields;  // what it asks for
  Sees (*sees)(const TestAnswer& job);
};
constexpr std::array kPollers = {
    Poller{"netapp_ontap", "?fields=message,state,error", python_sees},
    Poller{"Ansible", "", ansible_sees},
    Poller{"Terraform", "", terraform_sees},
    Poller{"Trident", "?fields=**", trident_sees},
};

// The control: jobs as they must not be shown.
TEST(OntapClientRules, TheirRulesForJobsAreKnown) {
  struct Row {
    const char* job;
    std::array<Sees, kPollers.size()> sees;
  };
  for (const Row& row : {
           Row{R"({"state":"failure","code":0})",
               {Sees::kBreaks, Sees::kSuccess, Sees::kGoingOn, Sees::kFailure}},
           Row{R"({"state":"failure","message":"","code":4})",
               {Sees::kFailure, Sees::kSuccess, Sees::kFailure, Sees::kFailure}},
           Row{R"({"state":"cancelled","message":"m","code":4})",
               {Sees::kBreaks, Sees::kSuccess, Sees::kFailure, Sees::kBreaks}},
           Row{R"({"state":"paused"})",
               {Sees::kGoingOn, Sees::kSuccess, Sees::kGoingOn, Sees::kGoingOn}},
       }) {
    HttpResponse response;
    response.body = row.job;
    for (std::size_t i = 0; i < kPollers.size(); ++i)
      EXPECT_EQ(kPollers[i].sees(test_answer(response)), row.sees[i])
          << kPollers[i].name << ": " << row.job;
  }
}

TEST_F(OntapClients, AllSeeTheSameInAJob) {
  (void)ask({"POST", kRekey});
  Job& job = backend.job_list.back();
  struct Row {
    JobState state;
    Reason reason;
    Sees sees;
  };
  for (const Row& row : {
           Row{JobState::kQueued, Reason::kNone, Sees::kGoingOn},
           Row{JobState::kRunning, Reason::kNone, Sees::kGoingOn},
           Row{JobState::kPaused, Reason::kRootUnreachable, Sees::kGoingOn},  // by itself
           Row{JobState::kSucceeded, Reason::kNone, Sees::kSuccess},
           Row{JobState::kFailed, Reason::kRootBlocked, Sees::kFailure},
           Row{JobState::kFailed, Reason::kNone, Sees::kFailure},
           Row{JobState::kIncomplete, Reason::kNone, Sees::kFailure},
           Row{JobState::kCancelled, Reason::kNone, Sees::kFailure},
       }) {
    job.state = row.state;
    job.error.reason = row.reason;
    for (const Poller& poller : kPollers) {
      const TestAnswer shown = get("/api/cluster/jobs/" + test_uuid_text(0x80) + poller.fields);
      EXPECT_EQ(shown.status, 200);
      EXPECT_EQ(poller.sees(shown), row.sees) << poller.name << ": " << shown.response.body;
    }
  }
}

}  // namespace
}  // namespace rewrap::test

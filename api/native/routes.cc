// The table.
#include "api/native/routes.h"

#include <array>

namespace rewrap::native {
namespace {

constexpr auto kString = FieldType::kString;
constexpr auto kInteger = FieldType::kInteger;
constexpr auto kNumber = FieldType::kNumber;
constexpr auto kBoolean = FieldType::kBoolean;

constexpr std::array kKeysetFields = {
    Field{"name", kString, true, "1 to 64 characters of A-Z a-z 0-9 . _ -"},
    Field{"root", kString, true, "URI of the root that guards the KEKs"},
    Field{"wrap", kString, false, "kw (default), kwp or gcm"},
    Field{"dek_size", kInteger, false, "bytes of each new DEK; 32 by default"},
    Field{"custody", kString, false, "host (default), kek-in-token or in-token"},
};
constexpr std::array kGenerateFields = {
    Field{"count", kInteger, false, "how many DEKs, 1 by default"},
    Field{"dek_size", kInteger, false, "bytes of each; the keyset's own by default"},
};
constexpr std::array kRekeyFields = {
    Field{"root", kString, false, "URI of the new KEK's root; the present one's"},
    Field{"rate", kNumber, false, "at most so many DEKs per second; 0: no limit"},
    Field{"decommission", kBoolean, false, "destroy the old KEK at the end; true"},
};
constexpr std::array kReprotectFields = {
    Field{"root", kString, true, "URI of the root that is to guard the KEKs"},
};
constexpr std::array kRateFields = {
    Field{"rate", kNumber, true, "at most so many DEKs per second; 0: no limit"},
};
constexpr std::array kNodeFields = {
    Field{"name", kString, true, "name of the node"},
};

constexpr Field kLimit{"limit", kInteger, false, "at most so many: 1 to 1000, 100 by default"};
constexpr std::array kLimitQuery = {kLimit};
constexpr std::array kDekQuery = {
    kLimit,
    Field{"from", kString, false, "`next` of the page before"},
};
constexpr std::array kJobQuery = {
    kLimit,
    Field{"keyset", kString, false, "only those of one keyset"},
    Field{"state", kString, false, "only those in one state"},
    Field{"kind", kString, false, "only those of one kind"},
};

using Fields = std::span<const Field>;

constexpr Route read(std::string_view pattern, std::string_view id, std::string_view summary,
                     std::string_view schema, Handler handler, Fields query = {}) {
  return {"GET", pattern, id, summary, Permission::kRead, nullptr, 200, schema, {}, query, handler};
}

// Of jobs: what is asked for goes on after the answer where `success` is 202.
constexpr Route job(std::string_view pattern, std::string_view id, const char* action,
                    std::string_view summary, int success, Handler handler, Fields body = {}) {
  const std::string_view schema = success == 202 ? "JobStart" : "Job";
  return {"POST", pattern, id, summary, Permission::kRekey, action, success,
          schema, body,    {}, handler};
}

constexpr Route configure(std::string_view method, std::string_view pattern, std::string_view id,
                          const char* action, std::string_view summary, std::string_view schema,
                          Handler handler, Fields body = {}) {
  const int success = method == "POST" ? 201 : 200;
  return {method, pattern, id, summary, Permission::kConfigure, action, success,
          schema, body,    {}, handler};
}

constexpr std::array kRoutes = {
    read("/account", "getAccount", "Who asks, and what that account may do.", "Account",
         get_account),
    read("/cluster", "getCluster", "What this installation calls itself.", "Cluster", get_cluster),

    read("/keysets", "listKeysets", "All keysets.", "Keysets", list_keysets),
    configure("POST", "/keysets", "createKeyset", "native.keyset.create",
              "Makes a keyset with KEK version 1.", "Keyset", create_keyset, kKeysetFields),
    read("/keysets/{keyset}", "getKeyset", "One keyset, and the job that works on it.", "Keyset",
         get_keyset),
    read("/keysets/{keyset}/keys", "listKeys", "Its KEK versions, without any key.", "Keys",
         list_keys),
    read("/keysets/{keyset}/keys/{version}", "getKey", "One KEK version, without the key.", "Key",
         get_key),
    read("/keysets/{keyset}/census", "getCensus", "How many DEKs are under each KEK version.",
         "Census", get_census),
    read("/keysets/{keyset}/quarantine", "listQuarantine",
         "Damaged DEKs that were put aside, without their wraps.", "Quarantine", list_quarantine,
         kLimitQuery),
    read("/keysets/{keyset}/deks", "listDeks", "DEKs without their wraps, page by page.", "Deks",
         list_deks, kDekQuery),
    configure("POST", "/keysets/{keyset}/deks", "generateDeks", "native.dek.generate",
              "Makes random DEKs, and gives their ids.", "Ids", generate_deks, kGenerateFields),
    read("/keysets/{keyset}/deks/{id}", "getDek", "One DEK without its wrap.", "Dek", get_dek),
    configure("POST", "/keysets/{keyset}/deks_in_admin/{id}", "tagAdminDek", "native.admin_dek.tag",
              "Says that a DEK of the admin keyset belongs to this keyset, which is not rekeyed "
              "until the DEK has left the admin keyset.",
              "Nothing", tag_admin_dek),
    configure("DELETE", "/keysets/{keyset}/deks_in_admin/{id}", "untagAdminDek",
              "native.admin_dek.untag", "Takes that back.", "Nothing", untag_admin_dek),

    job("/keysets/{keyset}/rekey", "startRekey", "native.rekey",
        "Moves every DEK to a new KEK; a rekey under way is given instead.", 202, start_rekey,
        kRekeyFields),
    job("/keysets/{keyset}/reprotect", "startReprotect", "native.reprotect",
        "Moves the KEKs under another root key.", 202, start_reprotect, kReprotectFields),
    job("/keysets/{keyset}/verify", "startVerify", "native.verify", "Proves that every DEK opens.",
        202, start_verify),
    job("/keysets/{keyset}/restore", "startRestore", "native.restore",
        "Opens every KEK in use once.", 202, start_restore),
    job("/keysets/{keyset}/keys/{version}/decommission", "startDecommission", "native.decommission",
        "Destroys an old KEK version, if the gate lets it go.", 202, start_decommission),

    read("/jobs", "listJobs", "Jobs, newest first.", "Jobs", list_jobs, kJobQuery),
    read("/jobs/{uuid}", "getJob", "One job: progress, rate, time left.", "Job", get_job),
    Route{"PATCH",
          "/jobs/{uuid}",
          "setRate",
          "Throttles a job, running or not.",
          Permission::kRekey,
          "native.job.rate",
          200,
          "Job",
          kRateFields,
          {},
          set_rate},
    job("/jobs/{uuid}/pause", "pauseJob", "native.job.pause",
        "Asks a job to stop between two commits.", 200, pause_job),
    job("/jobs/{uuid}/resume", "resumeJob", "native.job.resume", "Goes on with a paused job.", 200,
        resume_job),
    job("/jobs/{uuid}/cancel", "cancelJob", "native.job.cancel",
        "Asks a job to end; a rekey that was begun goes on with the next one.", 200, cancel_job),

    read("/nodes", "listNodes", "The nodes of the cluster.", "Nodes", list_nodes),
    configure("POST", "/nodes", "addNode", "native.node.add", "Registers a node.", "Node", add_node,
              kNodeFields),
    configure("DELETE", "/nodes/{node}", "removeNode", "native.node.remove", "Removes a node.",
              "Nothing", remove_node),
    // No line in the audit log: it comes every few seconds, from every node.
    Route{"POST",
          "/nodes/{node}/heartbeat",
          "sendHeartbeat",
          "Says that a node is alive.",
          Permission::kRekey,
          nullptr,
          200,
          "Nothing",
          {},
          {},
          node_heartbeat},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace rewrap::native

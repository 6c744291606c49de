#pragma once
#include <stdint.h>

#include "report_buffer.h"

/* [M-6]. The balance in ten-thousandths of a kWh, the timestamp in ms. */
struct BalanceCommand {
  int64_t balance;
  int64_t timestamp;
};

/* taken: the newest so far; repeated: the very same again; old: overtaken by a newer one. */
enum class Taken { taken, repeated, old };

/* What survives a power failure, in NVS. */
struct Remembered {
  uint32_t version;
  bool isKnown;
  int64_t balance;
  int64_t lastCommand;
  int64_t lastTimestamp;
  /* Deducted, and in no report that was ever sent. */
  int64_t unsent;
  /* Tokens whose units are in the balance. */
  uint32_t tokens;
  /* Sent and not acknowledged: it must go out again as it was. No units: there is none. */
  Report sent;
};

/* The money side of the meter: balance, relay, what is deducted and not yet reported. No hardware, no network. */
class Prepaid {
 public:
  /* What the load drew, deducted while the relay is on. */
  void measure(uint32_t elapsedMs, uint32_t watts);
  Taken take(const BalanceCommand &command);
  /* The units of a token, which is the `tokens`-th that was taken; the ledger has them when its answer arrives. */
  void credit(int64_t units, uint32_t tokens);
  uint32_t tokens() const { return tokens_; }
  /* The measurements since the last one become a report; false when nothing was drawn. */
  bool close(int64_t clockMs);

  bool isKnown() const { return isKnown_; }
  int64_t balance() const { return balance_; }
  /* [P-7] */
  bool relayIsOn() const { return isKnown_ && balance_ > 0; }
  /* Of this session. */
  int64_t total() const { return total_; }
  ReportBuffer &reports() { return reports_; }
  const ReportBuffer &reports() const { return reports_; }

  Remembered remember() const;
  /* Begins a new session where the last one ended. */
  void recall(const Remembered &before);

 private:
  bool isKnown_ = false;
  int64_t balance_ = 0;
  int64_t lastCommand_ = INT64_MIN;
  int64_t lastTimestamp_ = 0;
  int64_t total_ = 0;
  int64_t unreported_ = 0;
  uint32_t tokens_ = 0;
  /* Below 0.0001 kWh, in watt-milliseconds: the next measurement's. */
  int64_t carried_ = 0;
  ReportBuffer reports_;
};

const uint32_t kRememberedVersion = 2;

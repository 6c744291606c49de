#pragma once
#include <stddef.h>
#include <stdint.h>

/*
 * When the meter asks for its balance ([M-5]): at every connect until a command comes, and once more after a command
 * that came while a report was between meter and ledger. Nobody can tell whether its balance counts that report; asked
 * again when it is acknowledged, the ledger's answer does. Nor can anybody tell an answer from another command that set
 * out earlier, so that the last word is one that came long enough after the last acknowledgement. Times in ms since the
 * start.
 */
class BalanceAsking {
 public:
  void connected(int64_t now);
  /* A report was acknowledged: the ledger has it. */
  void acknowledged(int64_t now);
  /* A command was taken; `isSent`: a report is sent and not acknowledged. */
  void taken(int64_t now, bool isSent);
  /* True: ask now. It counts as asked. */
  bool isDue(int64_t now, bool isSent);

 private:
  enum class Wanted { no, atOnce, whenSettled };
  Wanted wanted_ = Wanted::no;
  bool isAcknowledgedSinceAsked_ = false;
  int64_t askAt_ = 0;
  int64_t pause_ = 0;
  int64_t askedAt_ = INT64_MIN / 2;
  int64_t acknowledgedAt_ = INT64_MIN / 2;
};

// What every peer does around its work: warm up, repeat, check the answer, and print one line of JSON for each
// repetition.
//
//   PROGRAM THREADS REPETITIONS [NAME...]     only the named measurements, or all
//
//   {"peer":"tbb","name":"FibAll","threads":1,"size":30,"operations":2692537,"ns_per_op":30.5,"answer":832040}
//
// Names, sizes and answers are those of Weft's own benchmarks. `ns_per_op` is what counts: a size may be smaller where
// a peer would take minutes. The peers in other languages print the same lines.
#ifndef WEFT_BENCHMARKS_PEERS_HARNESS_H_
#define WEFT_BENCHMARKS_PEERS_HARNESS_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace weft::benchmarks::peers {

struct Measurement {
  const char* name;
  int64_t size;
  int64_t operations;
  int64_t right_answer;
};

class Harness {
 public:
  // Ends the program with a sentence if the arguments are not what they should be.
  Harness(const char* peer, int argc, char** argv);

  int threads() const { return threads_; }
  // Whether it was asked for.
  bool Wants(const char* name) const;

  // Calls `work` to warm up and then for each repetition; it gives the answer. All of the call counts.
  template <class Work>
  void Measure(const Measurement& measurement, Work work) const {
    int64_t answer = 0;
    Measure(measurement, [] {}, [&] { answer = work(); }, [&] { return answer; });
  }
  // The same with something before and after that does not count.
  template <class Prepare, class Work, class Answer>
  void Measure(const Measurement& measurement, Prepare prepare, Work work, Answer answer) const {
    if (!Wants(measurement.name)) return;
    for (int i = 0; i <= repetitions_; ++i) {
      prepare();
      const auto begin = std::chrono::steady_clock::now();
      work();
      const std::chrono::duration<double, std::nano> nanos = std::chrono::steady_clock::now() - begin;
      Check(measurement, answer());
      if (i > 0) Print(measurement, nanos.count(), "");
    }
  }

  // One line, for what was measured otherwise. `more` is ready JSON: ",\"bytes_per_thread\":12".
  void Print(const Measurement& measurement, double nanos, const std::string& more) const;

 private:
  // Ends the program with a sentence if the answer is wrong.
  void Check(const Measurement& measurement, int64_t answer) const;

  const char* peer_;
  int threads_;
  int repetitions_;
  std::vector<std::string> names_;
};

// Resident memory of this process.
int64_t ResidentBytes();

}  // namespace weft::benchmarks::peers

#endif  // WEFT_BENCHMARKS_PEERS_HARNESS_H_

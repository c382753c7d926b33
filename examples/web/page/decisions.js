// What a score means: a probability with a calibration, presence with thresholds, otherwise a place in a range.

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

export class Decisions {
  constructor({ thresholds, calibration }) {
    this.thresholds = thresholds?.map(Number); // JSON has no infinity, so an infinite threshold is a string
    this.calibration = calibration;
    this.forget();
  }

  // Raw scores have no fixed range. Bars show their place between the least and the greatest score so far.
  forget() {
    this.least = Infinity;
    this.greatest = -Infinity;
  }

  see(scores) {
    for (const score of scores) {
      this.least = Math.min(this.least, score);
      this.greatest = Math.max(this.greatest, score);
    }
  }

  probability(score, index) {
    return sigmoid(this.calibration.scale[index] * score + this.calibration.shift[index]);
  }

  share(score, index) {
    if (this.calibration) return this.probability(score, index);
    return this.greatest > this.least ? (score - this.least) / (this.greatest - this.least) : 0;
  }

  text(score, index) {
    return this.calibration ? `${Math.round(100 * this.probability(score, index))} %` : score.toFixed(2);
  }

  isPresent(score, index) {
    return this.thresholds ? score >= this.thresholds[index] : null;
  }

  highest(scores, count) {
    const value = this.calibration ? (index) => this.probability(scores[index], index) : (index) => scores[index];
    return [...scores.keys()].sort((a, b) => value(b) - value(a)).slice(0, count);
  }

  get explanation() {
    const bars = this.calibration
      ? "Bars are probabilities."
      : "Bars are raw scores, from the least to the greatest of this recording.";
    return this.thresholds ? `${bars} A class with a mark reaches its threshold.` : bars;
  }
}

// The mixture that dlrml and discopop share: L = (1 - m) softplus(-z) + m exp(-z), z = beta rho, m = sigmoid(u), u = gate rho.
//
// Written out, m exp(-z) is 0 * inf for very negative rho although its value is exp((gate - beta) rho) / (1 + exp(u)).
// Here the exponents are added before exp is taken, 1 - m is never formed by subtraction, and products whose one
// factor vanishes are 0, so that every finite rho and both infinities give the value or the limit of the maths.
#pragma once

#include <limits>

#include "math/scalar.h"

namespace logratio::math {

struct MixtureTerms {
  double value;
  double d_rho;  // the total derivative, beta d_z + gate d_u
  double d_z;    // partial derivatives
  double d_u;
};

// beta > 0; gate is any finite number.
LR_FORCE_INLINE LR_HD MixtureTerms logistic_exponential(double rho, double beta, double gate) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double z = beta * rho;
  const double u = vanishing_product(gate, rho);
  const double w = std::exp(-std::fabs(u));
  const double r = 1 / (1 + w);
  const Decay decay(z);
  const double v = decay.v;
  const double logistic = (z < 0 ? -z : 0.0) + decay.log1p_v;  // softplus(-z)
  const double slope = (z >= 0 ? v : 1.0) * decay.inverse;     // sigmoid(-z)

  double m, q, exponential;  // m, 1 - m and m exp(-z)
  if (u >= 0) {
    m = r;
    q = w * r;
    exponential = (z >= 0 ? v : std::exp(-z)) * r;
  } else {
    m = w * r;
    q = r;
    // exp(u - z): from what is there already where both exponentials are normal numbers.
    const bool normal = z < 0 && z > -700 && u > -700;
    exponential = (normal ? w / v : std::exp(vanishing_product(gate - beta, rho))) * r;
  }

  MixtureTerms terms;
  terms.value = vanishing_product(q, logistic) + exponential;
  terms.d_z = -(q * slope + exponential);
  if (z >= 0) {
    terms.d_u = m * q * excess_over_log1p(v, decay.log1p_v);
  } else {
    // u >= 0 with z < 0 needs gate <= 0: q underflows while exp(-z) overflows, so their exponents are added too.
    const double growth = u >= 0 ? std::exp(vanishing_product(-(beta + gate), rho)) * r * r : q * exponential;
    terms.d_u = growth == kInfinity ? growth : growth - vanishing_product(q * m, logistic);
  }
  // An infinite exponential term dominates and falls with rho; its two parts alone could be inf - inf.
  terms.d_rho = exponential == kInfinity ? -kInfinity : beta * terms.d_z + vanishing_product(gate, terms.d_u);
  return terms;
}

}  // namespace logratio::math

// The mixture that dlrml and discopop share: L = (1 - m) softplus(-z) + m exp(-z), z = beta rho, m
// = sigmoid(u), u = gate rho.
//
// Written out, m exp(-z) is 0 * inf for very negative rho although its value is exp((gate - beta)
// rho) / (1 + exp(u)). Here the exponents are added before exp is taken, 1 - m is never formed by
// subtraction, and products whose one factor vanishes are 0, so that every finite rho and both
// infinities give the value or the limit of the maths.
#pragma once

#include "math/functions.h"

namespace logratio::math {

template <class Real>
struct MixtureTerms {
  Real value;
  Real d_rho;  // the total derivative, beta d_z + gate d_u
  Real d_z;    // partial derivatives
  Real d_u;
};

// beta > 0; gate is any finite number. Both are of type Number, one for all of Real or each its
// own.
template <class Real, class Number>
LR_FORCE_INLINE LR_HD MixtureTerms<Real> logistic_exponential(Real rho, Number beta, Number gate) {
  const Real zero(0), one(1);
  const Real z = Real(beta) * rho;
  const Real u = vanishing_product(Real(gate), rho);
  const auto falling = z >= zero;  // exp(-z) is at most 1
  const auto open = u >= zero;     // m is at least 1/2
  const Real w = exp(-abs(u));
  const Real r = one / (one + w);
  const Decay<Real> decay(z);
  const Real logistic = positive_part(-z) + decay.log1p_v.value;     // softplus(-z)
  const Real slope = select(falling, decay.v, one) * decay.inverse;  // sigmoid(-z)
  const Real m = select(open, r, w * r);
  const Real q = select(open, w * r, r);  // 1 - m

  // m exp(-z) = exponential: with an open gate exp(-z) r, with a closed one exp(u - z) r.
  const Real exponential =
      select(open & falling, decay.v,
             exp(select(open, -z, vanishing_product(Real(gate - beta), rho)))) *
      r;

  MixtureTerms<Real> terms;
  terms.value = vanishing_product(q, logistic) + exponential;
  terms.d_z = -(q * slope + exponential);
  // An open gate with a rising exponential needs gate <= 0: q underflows while exp(-z) overflows,
  // so their exponents are added too.
  Real growth = q * exponential;
  const auto backward = gate <= Number(0);
  if (any(backward)) {
    const Real joined =
        select(open & !falling, exp(vanishing_product(Real(-(beta + gate)), rho)) * r * r, growth);
    growth = select(backward, joined, growth);
  }
  const Real rising =
      select(growth == Real(kInfinity), growth, growth - vanishing_product(q * m, logistic));
  terms.d_u = select(falling, m * q * decay.log1p_v.excess, rising);
  // An infinite exponential term dominates and falls with rho; its two parts alone could be inf -
  // inf.
  terms.d_rho = select(exponential == Real(kInfinity), Real(-kInfinity),
                       Real(beta) * terms.d_z + vanishing_product(Real(gate), terms.d_u));
  return terms;
}

}  // namespace logratio::math

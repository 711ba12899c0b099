package dev.logratio.trainers.quickstart;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.ndarray.types.SparseFormat;
import ai.djl.nn.AbstractBlock;
import ai.djl.nn.Activation;
import ai.djl.nn.Parameter;
import ai.djl.nn.core.Embedding;
import ai.djl.nn.core.Linear;
import ai.djl.nn.norm.LayerNorm;
import ai.djl.training.ParameterStore;
import ai.djl.training.initializer.Initializer;
import ai.djl.training.initializer.NormalInitializer;
import ai.djl.util.PairList;

import java.util.ArrayList;
import java.util.List;

/**
 * A small causal transformer: learned positions, layers of attention and a two-layer network with
 * layer norm before each, and the token embedding as output weights. Tokens [B,T] (INT64) in,
 * logits [B,T,V] (FLOAT32) out.
 *
 * <p>Padding may only follow a sequence: attention never looks ahead, so what comes after a token
 * cannot change its logits.
 */
final class Transformer extends AbstractBlock {
    private static final float EPSILON = 1e-5f;
    private static final int EXPANSION = 4;
    private static final float INITIAL_DEVIATION = 0.05f;

    private final Config config;
    private final Parameter tokens;
    private final Parameter positions;
    private final List<Layer> layers = new ArrayList<>();
    private final Norm outputNorm;

    /**
     * Sizes of a model.
     *
     * @param vocabulary number of tokens
     * @param length most tokens in a sequence
     * @param width elements of a token's vector; a multiple of {@code heads}
     * @param heads attention heads per layer
     * @param depth layers
     */
    record Config(int vocabulary, int length, int width, int heads, int depth) {}

    private record Norm(Parameter gain, Parameter bias) {}

    private record Layer(
            Norm attentionNorm,
            Parameter query,
            Parameter key,
            Parameter value,
            Parameter mix,
            Norm networkNorm,
            Parameter up,
            Parameter upBias,
            Parameter down,
            Parameter downBias) {}

    Transformer(Config config) {
        this.config = config;
        int width = config.width();
        tokens = weight("tokens", config.vocabulary(), width);
        positions = weight("positions", config.length(), width);
        for (int i = 0; i < config.depth(); i++) {
            String name = "layer" + i + ".";
            layers.add(
                    new Layer(
                            norm(name + "attention_norm"),
                            weight(name + "query", width, width),
                            weight(name + "key", width, width),
                            weight(name + "value", width, width),
                            weight(name + "mix", width, width),
                            norm(name + "network_norm"),
                            weight(name + "up", EXPANSION * width, width),
                            constant(name + "up_bias", Initializer.ZEROS, EXPANSION * width),
                            weight(name + "down", width, EXPANSION * width),
                            constant(name + "down_bias", Initializer.ZEROS, width)));
        }
        outputNorm = norm("output_norm");
    }

    private Parameter weight(String name, long... shape) {
        return parameter(name, new NormalInitializer(INITIAL_DEVIATION), shape);
    }

    private Parameter constant(String name, Initializer value, long... shape) {
        return parameter(name, value, shape);
    }

    private Parameter parameter(String name, Initializer initializer, long... shape) {
        return addParameter(
                Parameter.builder()
                        .setName(name)
                        .setType(Parameter.Type.OTHER)
                        .optShape(new Shape(shape))
                        .optInitializer(initializer)
                        .build());
    }

    private Norm norm(String name) {
        return new Norm(
                constant(name + "_gain", Initializer.ONES, config.width()),
                constant(name + "_bias", Initializer.ZEROS, config.width()));
    }

    @Override
    protected NDList forwardInternal(
            ParameterStore store,
            NDList inputs,
            boolean training,
            PairList<String, Object> options) {
        NDArray ids = inputs.singletonOrThrow();
        Pass pass = new Pass(store, ids, training);
        NDArray embedding = pass.value(tokens);
        NDArray x =
                Embedding.embedding(ids, embedding, SparseFormat.DENSE)
                        .singletonOrThrow()
                        .add(
                                pass.value(positions)
                                        .get(ids.getManager(), new NDIndex("0:" + pass.length)));
        for (Layer layer : layers) {
            x = x.add(pass.attention(layer, pass.norm(layer.attentionNorm(), x)));
            x = x.add(pass.network(layer, pass.norm(layer.networkNorm(), x)));
        }
        return Linear.linear(pass.norm(outputNorm, x), embedding);
    }

    /** One forward pass: what its steps have in common. */
    private final class Pass {
        final ParameterStore store;
        final NDArray ids;
        final boolean training;
        final long batch;
        final long length;
        final NDArray future;
        final NDArray scale;

        Pass(ParameterStore store, NDArray ids, boolean training) {
            this.store = store;
            this.ids = ids;
            this.training = training;
            batch = ids.getShape().get(0);
            length = ids.getShape().get(1);
            NDManager manager = ids.getManager();
            NDArray steps = manager.arange((int) length);
            // 0 where a token may look; so low where it would look ahead that the softmax is 0.
            future =
                    steps.reshape(1, length)
                            .gt(steps.reshape(length, 1))
                            .toType(DataType.FLOAT32, false)
                            .mul(-1e9f);
            // An array of the manager, not a Java number: autograd saves the factor for the
            // backward pass, but DJL frees the memory of a
            // number's array as soon as the product is there.
            scale =
                    manager.create(
                            (float) (1 / Math.sqrt((double) config.width() / config.heads())));
        }

        NDArray value(Parameter parameter) {
            return store.getValue(parameter, ids.getDevice(), training);
        }

        NDArray norm(Norm norm, NDArray x) {
            return LayerNorm.layerNorm(
                            x,
                            new Shape(config.width()),
                            value(norm.gain()),
                            value(norm.bias()),
                            EPSILON)
                    .singletonOrThrow();
        }

        NDArray attention(Layer layer, NDArray x) {
            NDArray query = heads(x, layer.query());
            NDArray key = heads(x, layer.key());
            NDArray value = heads(x, layer.value());
            NDArray weights =
                    query.matMul(key.transpose(0, 1, 3, 2)).mul(scale).add(future).softmax(-1);
            NDArray joined =
                    weights.matMul(value)
                            .transpose(0, 2, 1, 3)
                            .reshape(batch, length, config.width());
            return Linear.linear(joined, value(layer.mix())).singletonOrThrow();
        }

        /** [B,T,width] to [B,heads,T,width/heads]. */
        NDArray heads(NDArray x, Parameter weight) {
            return Linear.linear(x, value(weight))
                    .singletonOrThrow()
                    .reshape(batch, length, config.heads(), -1)
                    .transpose(0, 2, 1, 3);
        }

        NDArray network(Layer layer, NDArray x) {
            NDArray hidden =
                    Activation.gelu(
                            Linear.linear(x, value(layer.up()), value(layer.upBias()))
                                    .singletonOrThrow());
            return Linear.linear(hidden, value(layer.down()), value(layer.downBias()))
                    .singletonOrThrow();
        }
    }

    @Override
    public Shape[] getOutputShapes(Shape[] inputShapes) {
        return new Shape[] {inputShapes[0].add(config.vocabulary())};
    }
}

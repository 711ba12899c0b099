package dev.logratio.bench.report;

import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.internal.chartpart.IChart;
import org.knowm.xchart.style.AxesChartStyler;
import org.knowm.xchart.style.Styler.LegendLayout;
import org.knowm.xchart.style.Styler.LegendPosition;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.List;

import javax.imageio.ImageIO;

/** What all charts have in common. */
public final class Charts {
    /** Blue, orange, green, grey: told apart with any kind of colour vision, and in print. */
    static final Color BLUE = new Color(0x0072B2);

    static final Color ORANGE = new Color(0xE69F00);
    static final Color GREEN = new Color(0x009E73);
    static final Color GRAY = new Color(0x8C8C8C);

    private Charts() {}

    /** Sets fonts, colours and the place of the legend. */
    static void style(AxesChartStyler style) {
        System.setProperty("java.awt.headless", "true");
        Font plain = new Font(Font.SANS_SERIF, Font.PLAIN, 14);
        style.setChartBackgroundColor(Color.WHITE).setChartPadding(16);
        style.setChartTitleFont(new Font(Font.SANS_SERIF, Font.BOLD, 17));
        style.setPlotBorderVisible(false);
        style.setPlotGridLinesColor(new Color(0xE0E0E0)).setPlotGridLinesStroke(new BasicStroke(1));
        style.setAxisTicksMarksVisible(false).setAxisTickLabelsFont(plain).setAxisTitleFont(plain);
        style.setLegendFont(plain)
                .setLegendBorderColor(Color.WHITE)
                .setLegendPosition(LegendPosition.OutsideS);
        style.setLegendLayout(LegendLayout.Horizontal);
    }

    /**
     * Draws charts one below the other.
     *
     * @param charts at least one
     * @return a PNG file
     */
    public static byte[] png(List<IChart> charts) throws IOException {
        ImageIO.setUseCache(false); // which would be a file in a folder that may be full
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        BitmapEncoder.saveBitmap(charts, charts.size(), 1, png, BitmapFormat.PNG);
        return png.toByteArray();
    }
}

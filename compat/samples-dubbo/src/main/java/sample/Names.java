// What the applications serve each other.

package sample;

public interface Names {
    String name();
}
